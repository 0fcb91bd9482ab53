//! The table of problems with identity providers, identities and their roles.

/// A policy of which each case replaces a line or adds to it; nothing is wrong with it.
pub(super) const SOUND: &str = "identityProviders:
  corp: { issuer: https://corp.example, audiences: [seawall] }
identities:
  build-agent:
    type: UserAssigned
    matches: [{ provider: corp, claims: { sub: build } }]
  vault:
    type: ServicePrincipal
    clientId: 6f9619ff-8b86-d011-b42d-00c04fc964ff
    secrets: [{ name: password1, file: a }]
  cluster:
    type: KubernetesCluster
    matches: [{ provider: corp, claims: { /kubernetes.io/namespace: build } }]
registries:
  myregistry:
    loginServer: r.example.com
    upstream: { url: http://127.0.0.1:5000 }
    scopeMaps: { team-a: { repositories: { team-a/*: [content/read] } }, nothing: {} }
    roleAssignments: [{ identity: build-agent, role: AcrPull }]
";

/// What is wrong, the line that is replaced, by what, and everything that is printed.
pub(super) const PROBLEMS: &[(&str, &str, &str, &str)] = &[
    // Providers.
    (
        "S: an issuer that anybody on the way can answer for",
        "  corp: { issuer: https://corp.example, audiences: [seawall] }",
        "  corp: { issuer: http://corp.example, audiences: [seawall] }",
        "policy.yaml:2:19: `http://corp.example`: the URL must begin with https://: whoever can change an answer on its way could be anybody
  hint: such as https://login.example.com/tenant",
    ),
    (
        "an issuer with a query",
        "  corp: { issuer: https://corp.example, audiences: [seawall] }",
        "  corp: { issuer: 'https://corp.example/?tenant=1', audiences: [seawall] }",
        "policy.yaml:2:19: `https://corp.example/?tenant=1`: a query or a fragment has no place in this URL
  hint: such as https://login.example.com/tenant",
    ),
    (
        "no audience",
        "  corp: { issuer: https://corp.example, audiences: [seawall] }",
        "  corp: { issuer: https://corp.example, audiences: [] }",
        "policy.yaml:2:52: a provider needs at least one audience: its tokens for others must not be accepted here
  hint: the registry's login server is a good one",
    ),
    (
        "an empty audience and no algorithm",
        "  corp: { issuer: https://corp.example, audiences: [seawall] }",
        "  corp: { issuer: https://corp.example, audiences: [''], algorithms: [] }",
        "policy.yaml:2:53: an audience is not empty
policy.yaml:2:70: no algorithm is allowed, so no token of this provider is accepted
  hint: leave `algorithms` out for `RS256` and `ES256`",
    ),
    (
        "what a token is asked for",
        "  corp: { issuer: https://corp.example, audiences: [seawall] }",
        "  corp: { issuer: https://corp.example, audiences: [seawall], clientCredentials: { scopes: [''], resource: a b } }",
        "policy.yaml:2:93: not a word of visible ASCII characters
policy.yaml:2:108: not a word of visible ASCII characters",
    ),
    // Secrets that a provider verifies.
    (
        "a secret that nobody verifies",
        "    secrets: [{ name: password1, file: a }]",
        "    verifiedBy: corps
    matches: [{ provider: corp, claims: { azp: vault } }]",
        "policy.yaml:10:17: there is no identity provider `corps`
  hint: did you mean `corp`?",
    ),
    (
        "a secret that is verified here and at a provider",
        "    secrets: [{ name: password1, file: a }]",
        "    secrets: [{ name: password1, file: a }]
    verifiedBy: corp",
        "policy.yaml:11:17: `verifiedBy` takes the place of `secrets`
  hint: keep one of them",
    ),
    (
        "a provider that verifies the secret and means nobody by it",
        "    secrets: [{ name: password1, file: a }]",
        "    verifiedBy: corp",
        "policy.yaml:10:17: nothing that `corp` says makes a caller this service principal
  hint: say under `matches` what its token for the client says, such as `azp` or `client_id`",
    ),
    (
        "a secret of a machine",
        "    type: UserAssigned",
        "    type: UserAssigned
    verifiedBy: corp",
        "policy.yaml:6:17: only an identity of type `ServicePrincipal` has a secret to verify
  hint: change its type, or remove this",
    ),
    (
        "a provider's name, its clock and its claims",
        "  corp: { issuer: https://corp.example, audiences: [seawall] }",
        "  corp: { issuer: https://corp.example, audiences: [seawall] }
  my corp: { issuer: https://two.example, audiences: [seawall], clockSkew: 6m, subjectClaim: '', nameClaim: /a//b }
  clock: { issuer: https://three.example, audiences: [seawall], clockSkew: '60' }",
        "policy.yaml:3:3: `my corp` is not an identity provider name
  hint: use 1 to 50 letters, digits, `.`, `_` and `-`, not marks alone
policy.yaml:3:76: a clock may be wrong by 5m at most
  hint: set the clocks: what has expired would be accepted for so long
policy.yaml:3:94: ``: a claim has a name
policy.yaml:3:109: `/a//b`: an empty step in a JSON pointer
policy.yaml:4:76: a duration is a whole number and one of ms, s, m, h, d, such as 30s",
    ),
    (
        "words that no provider could be sent",
        "  corp: { issuer: https://corp.example, audiences: [seawall] }",
        "  corp: { issuer: https://corp.example, audiences: [seawall], signIn: { clientId: '', scopes: ['open id'] } }",
        "policy.yaml:2:83: not a word of visible ASCII characters
policy.yaml:2:96: not a word of visible ASCII characters",
    ),
    (
        "two providers with one issuer",
        "  corp: { issuer: https://corp.example, audiences: [seawall] }",
        "  corp: { issuer: https://corp.example, audiences: [seawall] }
  other: { issuer: https://corp.example, audiences: [other] }",
        "policy.yaml:3:20: issuer `https://corp.example` already belongs to provider `corp`
  hint: the other is at policy.yaml:2:3; one provider may have several audiences",
    ),
    (
        "keys in two places, and in none",
        "  corp: { issuer: https://corp.example, audiences: [seawall] }",
        "  corp: { issuer: https://corp.example, audiences: [seawall], jwks: { url: https://corp.example/k, file: keys.json } }
  none: { issuer: https://two.example, audiences: [seawall], jwks: {} }",
        "policy.yaml:2:69: `jwks` needs exactly one of `url` and `file`
  hint: leave `jwks` out where the issuer publishes `/.well-known/openid-configuration`
policy.yaml:3:68: `jwks` needs exactly one of `url` and `file`
  hint: leave `jwks` out where the issuer publishes `/.well-known/openid-configuration`",
    ),
    (
        "keys that are none",
        "  corp: { issuer: https://corp.example, audiences: [seawall] }",
        "  corp: { issuer: https://1.example, audiences: [seawall], jwks: { file: missing } }
  two: { issuer: https://2.example, audiences: [seawall], jwks: { file: no-keys.json } }
  three: { issuer: https://3.example, audiences: [seawall], jwks: { file: discovery.json } }
  four: { issuer: https://4.example, audiences: [seawall], jwks: { file: secret } }
  five: { issuer: https://5.example, audiences: [seawall], jwks: { url: http://5.example/keys } }",
        "policy.yaml:2:74: there is no file missing
policy.yaml:3:73: there is no key in this JWK set
policy.yaml:4:75: not a JWK set: there is no list `keys` in it
policy.yaml:5:74: not JSON: expected ident at line 1 column 2
policy.yaml:6:73: `http://5.example/keys`: the URL must begin with https://: whoever can change an answer on its way could be anybody
  hint: such as https://login.example.com/keys",
    ),
    (
        "certificate authorities that are missing, broken or of no use",
        "  corp: { issuer: https://corp.example, audiences: [seawall] }",
        "  corp: { issuer: https://corp.example, audiences: [seawall], ca: missing }
  two: { issuer: https://two.example, audiences: [seawall], ca: broken.pem }
  three: { issuer: https://three.example, audiences: [seawall], ca: a.pem, jwks: { file: keys.json } }
  four: { issuer: http://127.0.0.1:9000, audiences: [seawall], ca: a.pem }",
        "policy.yaml:2:67: there is no file missing
policy.yaml:3:65: certificate number 1 in this file is malformed
policy.yaml:4:69: `ca` has no meaning for a provider that is not asked over TLS
  hint: remove it
policy.yaml:5:68: `ca` has no meaning for a provider that is not asked over TLS
  hint: remove it",
    ),
    // Identities.
    (
        "a rule that matches everybody",
        "    matches: [{ provider: corp, claims: { sub: build } }]",
        "    matches: [{ provider: corp, claims: {} }]",
        "policy.yaml:6:41: a rule without a claim would match everybody whom `corp` knows
  hint: name the claims that must hold, such as `sub: repo:acme/app:ref:refs/heads/main`",
    ),
    (
        "a pattern that is a star",
        "    matches: [{ provider: corp, claims: { sub: build } }]",
        "    matches: [{ provider: corp, claims: { sub: '*' } }]",
        "policy.yaml:6:48: warning: `*` holds for whatever the provider says in claim `sub`
  hint: write the texts that are meant, as far as they go",
    ),
    (
        "claims without a name or a text",
        "    matches: [{ provider: corp, claims: { sub: build } }]",
        "    matches: [{ provider: corp, claims: { sub: '', '': a, /a~b: c } }]",
        "policy.yaml:6:48: the text of claim `sub` is empty
  hint: write the text that the claim must have
policy.yaml:6:52: ``: a claim has a name
policy.yaml:6:59: `/a~b`: in a JSON pointer `~` is written `~0`, and `/` within a name `~1`",
    ),
    (
        "unknown providers",
        "    matches: [{ provider: corp, claims: { sub: build } }]",
        "    matches: [{ provider: crop, claims: { sub: build } }, { provider: github, claims: { sub: build } }]",
        "policy.yaml:6:27: there is no identity provider `crop`
  hint: did you mean `corp`?
policy.yaml:6:71: there is no identity provider `github`
  hint: declare it under `identityProviders`",
    ),
    (
        "almost the provider of certificates",
        "    matches: [{ provider: corp, claims: { sub: build } }]",
        "    matches: [{ provider: certifcate, claims: { dns: build } }]",
        "policy.yaml:6:27: there is no identity provider `certifcate`
  hint: did you mean `certificate`?",
    ),
    (
        "a claim that no certificate has",
        "    matches: [{ provider: corp, claims: { sub: build } }]",
        "    matches: [{ provider: certificate, claims: { sub: build } }, { provider: certificate, claims: { /uri: build } }]",
        "policy.yaml:6:50: `sub`: a certificate says `uri`, `dns`, `subject`, `issuer`, `serial` and `sha256`, and nothing else",
    ),
    (
        "nobody can be it; for a managed one the installation vouches",
        "    matches: [{ provider: corp, claims: { sub: build } }]",
        "    status: enabled
  joe: { type: User }",
        "policy.yaml:7:3: warning: nobody can be identity `joe`
  hint: say under `matches` whom an identity provider must describe for it",
    ),
    (
        "a service principal without a client id",
        "    clientId: 6f9619ff-8b86-d011-b42d-00c04fc964ff",
        "    tenantId: 6f9619ff-8b86-d011-b42d-00c04fc964ff",
        "policy.yaml:7:3: service principal `vault` has no `clientId`
  hint: its client id, a GUID such as `uuidgen` makes, is its user name",
    ),
    (
        "ids that are none",
        "    clientId: 6f9619ff-8b86-d011-b42d-00c04fc964ff",
        "    clientId: 00000000-0000-0000-0000-000000000000
    principalId: vault
    tenantId: 6f9619ff8b86d011b42d00c04fc964ff",
        "policy.yaml:9:15: `00000000-0000-0000-0000-000000000000` is not a GUID, or the one of zeros
  hint: such as 6f9619ff-8b86-d011-b42d-00c04fc964ff
policy.yaml:10:18: `vault` is not a GUID, or the one of zeros
  hint: such as 6f9619ff-8b86-d011-b42d-00c04fc964ff
policy.yaml:11:15: `6f9619ff8b86d011b42d00c04fc964ff` is not a GUID, or the one of zeros
  hint: such as 6f9619ff-8b86-d011-b42d-00c04fc964ff",
    ),
    (
        "one client id twice",
        "    type: UserAssigned",
        "    type: UserAssigned
    clientId: 6F9619FF-8B86-D011-B42D-00C04FC964FF",
        "policy.yaml:10:15: identity `build-agent` has this `clientId` already
  hint: the other is at policy.yaml:6:15",
    ),
    (
        "a secret of somebody who has none",
        "    type: UserAssigned",
        "    type: UserAssigned
    secrets: [{ name: password1, file: a }]",
        "policy.yaml:6:15: only an identity of type `ServicePrincipal` has secrets
  hint: change its type, or let an identity provider vouch for it under `matches`",
    ),
    (
        "secrets that are missing, misnamed, twice, three, short or in clear text",
        "    secrets: [{ name: password1, file: a }]",
        "    secrets:
      - { name: password1, file: missing }
      - { name: password3, file: a }
      - { name: password2, env: short }
      - { name: password2, file: a }
      - { name: password1, hash: hunter2 }",
        "policy.yaml:11:34: there is no file missing
policy.yaml:12:17: `password3` is not the name of a password of a service principal
  hint: the names are `password1` and `password2`
policy.yaml:13:33: warning: this password has fewer than 12 characters, and guesses at it are checked fast
  hint: `seawall hash-password --generate` makes one; or put a hash of it under `hash`, which is checked slowly
policy.yaml:14:17: `password2` is declared twice
  hint: rename or remove one of them
policy.yaml:15:34: not a hash that is known here: argon2 (`$argon2id$…`), bcrypt (`$2b$…`) or `$seawall-hmac-sha256$…`
  hint: `seawall hash-password` makes a hash",
    ),
    (
        "an identity's name",
        "  cluster:",
        "  my/cluster:",
        "policy.yaml:11:3: `my/cluster` is not an identity name
  hint: use 1 to 64 letters, digits, `.`, `_`, `-` and `@`, not marks alone",
    ),
    (
        "a token with the user name of a service principal",
        "    roleAssignments: [{ identity: build-agent, role: AcrPull }]",
        "    tokens: { 6F9619FF-8b86-d011-b42d-00c04fc964ff: { scopeMap: _repositories_pull } }",
        "policy.yaml:19:15: token `6F9619FF-8b86-d011-b42d-00c04fc964ff` has the client id of identity `vault` as its name
  hint: the identity is at policy.yaml:7:3; choose another name",
    ),
    // Role assignments.
    (
        "unknown names",
        "    roleAssignments: [{ identity: build-agent, role: AcrPull }]",
        "    roleAssignments:
      - { identity: build-agnet, role: AcrPull }
      - { identity: somebody, role: acrpul }
      - { identity: build-agent, role: Administrator }
      - { identity: build-agent, scopeMap: team-b }",
        "policy.yaml:20:21: there is no identity `build-agnet`
  hint: did you mean `build-agent`?
policy.yaml:21:21: there is no identity `somebody`
  hint: declare it under `identities`
policy.yaml:21:37: there is no role `acrpul`
  hint: did you mean `AcrPull`?
policy.yaml:22:40: there is no role `Administrator`
  hint: the roles are `Owner`, `Contributor`, `Reader`, `AcrPull`, `AcrPush`, `AcrDelete`, `AcrImageSigner`, `Container Registry Repository Reader`, `Container Registry Repository Writer`, `Container Registry Repository Contributor`, `Container Registry Repository Catalog Lister`
policy.yaml:23:44: there is no scope map `team-b`
  hint: did you mean `team-a`?",
    ),
    (
        "both a role and a scope map, and neither",
        "    roleAssignments: [{ identity: build-agent, role: AcrPull }]",
        "    roleAssignments:
      - { identity: build-agent, role: AcrPull, scopeMap: team-a }
      - { identity: build-agent, repositories: [a] }",
        "policy.yaml:20:9: a role assignment needs exactly one of `role` and `scopeMap`
  hint: for both, write two assignments: what they allow adds up
policy.yaml:21:9: a role assignment needs exactly one of `role` and `scopeMap`
  hint: for both, write two assignments: what they allow adds up",
    ),
    (
        "the same twice",
        "    roleAssignments: [{ identity: build-agent, role: AcrPull }]",
        "    roleAssignments:
      - { identity: build-agent, role: AcrPull }
      - { identity: build-agent, role: acrpull, repositories: [a] }
      - { identity: build-agent, role: ACRPULL }",
        "policy.yaml:22:9: role AcrPull is assigned to `build-agent` already
  hint: the other is at policy.yaml:20:9",
    ),
    (
        "B.5: conditions that cover nothing, match too much or are not allowed",
        "    roleAssignments: [{ identity: build-agent, role: AcrPull }]",
        "    roleAssignments:
      - { identity: build-agent, role: AcrPull, repositories: [] }
      - { identity: build-agent, role: AcrPush, repositories: [backend*, '/a', backend/] }
      - { identity: build-agent, role: container registry repository catalog lister, repositories: [a/*] }",
        "policy.yaml:20:63: this condition covers no repository
  hint: leave `repositories` out to cover all of them
policy.yaml:21:64: `backend*`: the wildcard must be the last segment: write `prefix/*`, or `*` for every repository
policy.yaml:21:74: `/a`: a repository name does not begin with `/`, so this rule could never match
policy.yaml:21:80: `backend/`: not a repository name: lower-case letters, digits and `.`, `_`, `-` between them, in segments separated by `/`
policy.yaml:22:100: `Container Registry Repository Catalog Lister` takes no condition: it shows all repositories or none
  hint: remove `repositories`",
    ),
    (
        "assignments without effect",
        "    roleAssignments: [{ identity: build-agent, role: AcrPull }]",
        "    roleAssignments:
      - { identity: build-agent, role: AcrImageSigner }
      - { identity: cluster, role: AcrDelete }
      - { identity: vault, scopeMap: nothing }",
        "policy.yaml:20:9: warning: this assignment gives `build-agent` nothing
  hint: signatures are pushed like images: `AcrPush` is the role for it
policy.yaml:21:9: warning: this assignment gives `cluster` nothing
  hint: an identity of type `KubernetesCluster` pulls and does nothing else: `AcrPull` is its role
policy.yaml:22:9: warning: this assignment gives `vault` nothing
  hint: give the scope map a repository, or assign a role",
    ),
    (
        "of all registries: unknown identities and roles, bad conditions, the same twice",
        "registries:",
        "roleAssignments:
  - { identity: build-agnt, role: AcrPull }
  - { identity: vault, role: AcrPul, repositories: [a*] }
  - { identity: vault, role: Reader }
  - { identity: vault, role: reader }
registries:",
        "policy.yaml:15:17: there is no identity `build-agnt`
  hint: did you mean `build-agent`?
policy.yaml:16:30: there is no role `AcrPul`
  hint: did you mean `AcrPull`?
policy.yaml:16:53: `a*`: the wildcard must be the last segment: write `prefix/*`, or `*` for every repository
policy.yaml:18:5: role Reader is assigned to `vault` already
  hint: the other is at policy.yaml:17:5",
    ),
    (
        "one mistake is told once: what refers to something broken is not broken too",
        "    matches: [{ provider: corp, claims: { sub: build } }]",
        "    matches: [{ provider: corp, claims: { '': build } }]",
        "policy.yaml:6:43: ``: a claim has a name",
    ),
];
