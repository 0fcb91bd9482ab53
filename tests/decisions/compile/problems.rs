//! The table of problems.

/// What cases begin with that are about a part of a registry only.
pub(super) const BEGINNING: &str = "myregistry:
  loginServer: r.example.com
  upstream: { url: http://127.0.0.1:5000 }
";

/// What is wrong, the text, and everything that is printed. A text that is indented goes on after [`BEGINNING`].
pub(super) const PROBLEMS: &[(&str, &str, &str)] = &[
    // Names.
    (
        "a registry's name is too short",
        "tiny:
  loginServer: r.example.com
  upstream: { url: http://127.0.0.1:5000 }",
        "policy.yaml:1:1: `tiny` is not a registry name
  hint: use 5 to 50 letters and digits, as in ACR",
    ),
    (
        "a registry's name has a dash",
        "my-registry:
  loginServer: r.example.com
  upstream: { url: http://127.0.0.1:5000 }",
        "policy.yaml:1:1: `my-registry` is not a registry name
  hint: use 5 to 50 letters and digits, as in ACR",
    ),
    (
        "a registry's name is too long",
        "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr:
  loginServer: r.example.com
  upstream: { url: http://127.0.0.1:5000 }",
        "policy.yaml:1:1: `rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr` is not a registry name
  hint: use 5 to 50 letters and digits, as in ACR",
    ),
    (
        "a token's name has a colon, which ends the user name of a basic login",
        "  tokens: { 'ci:push': { scopeMap: _repositories_pull } }",
        "policy.yaml:4:13: `ci:push` is not a token name
  hint: use 1 to 64 letters, digits, `.`, `_`, `-` and `@`, not marks alone",
    ),
    (
        "a token's name has marks only",
        "  tokens: { '..': { scopeMap: _repositories_pull } }",
        "policy.yaml:4:13: `..` is not a token name
  hint: use 1 to 64 letters, digits, `.`, `_`, `-` and `@`, not marks alone",
    ),
    (
        "registries differ in case only",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: http://127.0.0.1:5000 }
MyRegistry:
  loginServer: s.example.com
  upstream: { url: http://127.0.0.1:5000 }",
        "policy.yaml:1:1: `myregistry` differs from registry `MyRegistry` in case only
  hint: the other is at policy.yaml:4:1",
    ),
    (
        "a token is named like the registry",
        "  tokens: { myregistry: { scopeMap: _repositories_pull } }",
        "policy.yaml:4:13: token `myregistry` has the registry's name, which is the admin account's user name
  hint: choose another name",
    ),
    (
        "a scope map's name has a dot",
        "  scopeMaps: { team.a: { repositories: { a: [content/read] } } }",
        "policy.yaml:4:16: `team.a` is not a scope map name
  hint: use 5 to 50 letters, digits, `-` and `_`, as in ACR",
    ),
    (
        "a scope map has a reserved name",
        "  scopeMaps: { _repositories_mine: { repositories: { a: [content/read] } } }",
        "policy.yaml:4:16: `_repositories_mine`: names that begin with `_repositories_` are reserved
  hint: choose another name: the system-defined scope maps need no declaration",
    ),
    (
        "a scope map has the name of a system-defined one",
        "  scopeMaps: { _repositories_pull: { repositories: { '*': [content/delete] } } }",
        "policy.yaml:4:16: `_repositories_pull`: names that begin with `_repositories_` are reserved
  hint: choose another name: the system-defined scope maps need no declaration",
    ),
    // Scope maps.
    (
        "a description is too long",
        "  scopeMaps: { team-a: { description: ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd } }",
        "policy.yaml:4:39: the description is too long
  hint: at most 256 characters",
    ),
    (
        "an unknown scope map is like a system-defined one",
        "  tokens: { ci-push: { scopeMap: _repositories_pul } }",
        "policy.yaml:4:34: there is no scope map `_repositories_pul`
  hint: did you mean `_repositories_pull`?",
    ),
    (
        "an unknown scope map is like a declared one",
        "  scopeMaps: { team-alpha: { repositories: { a: [content/read] } } }
  tokens: { ci-push: { scopeMap: team-alfa } }",
        "policy.yaml:5:34: there is no scope map `team-alfa`
  hint: did you mean `team-alpha`?",
    ),
    (
        "an unknown scope map is like none",
        "  tokens: { ci-push: { scopeMap: everything } }",
        "policy.yaml:4:34: there is no scope map `everything`
  hint: declare it under `scopeMaps`, or use a system-defined one such as `_repositories_pull`",
    ),
    (
        "an action is misspelt",
        "  scopeMaps: { team-a: { repositories: { a: [content/raed] } } }",
        "policy.yaml:4:46: invalid action `content/raed`
  hint: did you mean `content/read`?",
    ),
    (
        "an action is a scope's word",
        "  scopeMaps: { team-a: { repositories: { a: [pull] } } }",
        "policy.yaml:4:46: invalid action `pull`
  hint: valid actions are `content/read`, `content/write`, `content/delete`, `metadata/read`, `metadata/write`",
    ),
    (
        "a list of actions is empty",
        "  scopeMaps: { team-a: { repositories: { a: [] } } }",
        "policy.yaml:4:42: at least one action must be specified with `a`
  hint: valid actions are `content/read`, `content/write`, `content/delete`, `metadata/read`, `metadata/write`",
    ),
    (
        "S3-45, and E-12: the wildcard in the middle",
        "  scopeMaps: { team-a: { repositories: { sample/*/teamA: [content/read] } } }",
        "policy.yaml:4:42: `sample/*/teamA`: the wildcard must be the last segment: write `prefix/*`, or `*` for every repository",
    ),
    (
        "S3-46: the wildcard inside a segment",
        "  scopeMaps: { team-a: { repositories: { sample/teamA*: [content/read] } } }",
        "policy.yaml:4:42: `sample/teamA*`: the wildcard must be the last segment: write `prefix/*`, or `*` for every repository",
    ),
    (
        "S3-47: two wildcards",
        "  scopeMaps: { team-a: { repositories: { sample/teamA/*/projectB/*: [content/read] } } }",
        "policy.yaml:4:42: `sample/teamA/*/projectB/*`: a wildcard pattern has a single `*`",
    ),
    (
        "a leading slash",
        "  scopeMaps: { team-a: { repositories: { /sample/*: [content/read] } } }",
        "policy.yaml:4:42: `/sample/*`: a repository name does not begin with `/`, so this rule could never match",
    ),
    (
        "a tag in a repository's name",
        "  scopeMaps: { team-a: { repositories: { 'sample:v1': [content/read] } } }",
        "policy.yaml:4:42: `sample:v1`: not a repository name: lower-case letters, digits and `.`, `_`, `-` between them, in segments separated by `/`",
    ),
    (
        "a repository twice, in two spellings",
        "  scopeMaps: { team-a: { repositories: { Sample/*: [content/read], sample/*: [content/write] } } }",
        "policy.yaml:4:68: `sample/*` is declared twice in this scope map
  hint: the other is at policy.yaml:4:42",
    ),
    // Passwords.
    (
        "a password's name is the other kind's",
        "  tokens: { ci-push: { scopeMap: _repositories_pull, passwords: [{ name: password, file: a }] } }",
        "policy.yaml:4:74: `password` is not the name of a password of a token
  hint: the names are `password1` and `password2`",
    ),
    (
        "an admin password's name is a token's",
        "  admin: { passwords: [{ name: password1, file: a }] }",
        "policy.yaml:4:32: `password1` is not the name of a password of the admin account
  hint: the names are `password` and `password2`",
    ),
    (
        "a password's name is used twice",
        "  tokens:
    ci-push:
      scopeMap: _repositories_pull
      passwords: [{ name: password1, file: a }, { name: password1, file: b }]",
        "policy.yaml:7:57: `password1` is declared twice
  hint: rename or remove one of them",
    ),
    (
        "three passwords",
        "  tokens:
    ci-push:
      scopeMap: _repositories_pull
      passwords:
        - { name: password1, file: a }
        - { name: password2, file: b }
        - { name: password3, file: c }",
        "policy.yaml:10:19: `password3` is not the name of a password of a token
  hint: the names are `password1` and `password2`",
    ),
    (
        "two sources of one password",
        "  admin: { passwords: [{ name: password, file: a, env: B }] }",
        "policy.yaml:4:24: password `password` needs exactly one of `file`, `env` and `hash`
  hint: a clear-text password is never accepted; `seawall hash-password` makes a hash",
    ),
    (
        "no source of a password",
        "  admin: { passwords: [{ name: password }] }",
        "policy.yaml:4:24: password `password` needs exactly one of `file`, `env` and `hash`
  hint: a clear-text password is never accepted; `seawall hash-password` makes a hash",
    ),
    (
        "a short password where guesses are fast",
        "  admin: { passwords: [{ name: password, file: short }] }",
        "policy.yaml:4:48: warning: this password has fewer than 12 characters, and guesses at it are checked fast
  hint: `seawall hash-password --generate` makes one; or put a hash of it under `hash`, which is checked slowly",
    ),
    (
        "a file is missing",
        "  admin: { passwords: [{ name: password, file: missing }] }",
        "policy.yaml:4:48: there is no file missing",
    ),
    (
        "a variable is missing",
        "  admin: { passwords: [{ name: password, env: missing }] }",
        "policy.yaml:4:47: there is no variable missing",
    ),
    (
        "a secret is empty",
        "  admin: { passwords: [{ name: password, file: empty }, { name: password2, env: empty }] }",
        "policy.yaml:4:48: the password is empty
policy.yaml:4:81: the password is empty",
    ),
    (
        "a clear-text password where a hash belongs",
        "  admin: { passwords: [{ name: password, hash: hunter2 }] }",
        "policy.yaml:4:48: not a hash that is known here: argon2 (`$argon2id$…`), bcrypt (`$2b$…`) or `$seawall-hmac-sha256$…`
  hint: `seawall hash-password` makes a hash",
    ),
    (
        "a hash without its end",
        "  admin: { passwords: [{ name: password, hash: $2y$12$abcdefghijkl }] }",
        "policy.yaml:4:48: the bcrypt hash is malformed
  hint: `seawall hash-password` makes a hash",
    ),
    (
        "a hash that would take minutes",
        "  admin: { passwords: [{ name: password, hash: $2y$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW }] }",
        "policy.yaml:4:48: the bcrypt cost is not between 4 and 15
  hint: `seawall hash-password` makes a hash",
    ),
    (
        "an argon2 hash that would take gigabytes",
        "  admin:
    passwords:
      - name: password
        hash: $argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHRzYWx0$JcBWC2plTHw1pX3Z6HrYdk1FPmkjbBRaOAUaazQ0wNI",
        "policy.yaml:7:15: the argon2 hash asks for more than 256 MiB of memory, 20 passes or 64 lanes
  hint: `seawall hash-password` makes a hash",
    ),
    (
        "an expiry without a time",
        "  tokens:
    ci-push:
      scopeMap: _repositories_pull
      passwords: [{ name: password1, file: a, expiry: 2027-12-31 }]",
        "policy.yaml:7:55: `2027-12-31` is not a date and time
  hint: write it as 2027-12-31T12:59:59Z",
    ),
    (
        "an expiry in the past",
        "  tokens:
    ci-push:
      scopeMap: _repositories_pull
      passwords: [{ name: password1, file: a, expiry: 2026-11-21T12:00:00Z }]",
        "policy.yaml:7:55: warning: this password has expired
  hint: replace it, or remove it if it is not used any more",
    ),
    (
        "the admin account without a password",
        "  adminUserEnabled: true",
        "policy.yaml:4:21: warning: the admin account is enabled but has no password, so nobody can use it
  hint: add `admin: { passwords: [ { name: password, file: … } ] }`, or let `seawall credential renew` make one",
    ),
    // Addresses.
    (
        "a login server with a scheme",
        "myregistry:
  loginServer: https://r.example.com
  upstream: { url: http://127.0.0.1:5000 }",
        "policy.yaml:2:16: `https://r.example.com`: not a host name with an optional port
  hint: such as registry.example.com or registry.example.com:8443",
    ),
    (
        "a login server with a path",
        "myregistry:
  loginServer: r.example.com/team
  upstream: { url: http://127.0.0.1:5000 }",
        "policy.yaml:2:16: `r.example.com/team`: not a host name with an optional port
  hint: such as registry.example.com or registry.example.com:8443",
    ),
    (
        "a login server with a bad port",
        "myregistry:
  loginServer: 'r.example.com:70000'
  upstream: { url: http://127.0.0.1:5000 }",
        "policy.yaml:2:16: `r.example.com:70000`: the port is not a number from 1 to 65535
  hint: such as registry.example.com or registry.example.com:8443",
    ),
    (
        "a user name in the login server",
        "myregistry:
  loginServer: user:hunter2@r.example.com
  upstream: { url: http://127.0.0.1:5000 }",
        "policy.yaml:2:16: a user name has no place in a login server
  hint: such as registry.example.com or registry.example.com:8443",
    ),
    (
        "wire contract R14",
        "myregistry:
  loginServer: service.example.com
  upstream: { url: http://127.0.0.1:5000 }",
        "policy.yaml:2:16: warning: the host name contains `service`: Microsoft's Java client cannot read challenges with it
  hint: choose another host name for Java clients",
    ),
    (
        "wire contract R14",
        "myregistry:
  loginServer: telescope.example.com
  upstream: { url: http://127.0.0.1:5000 }",
        "policy.yaml:2:16: warning: the host name contains `scope`: Microsoft's Java client cannot read challenges with it
  hint: choose another host name for Java clients",
    ),
    (
        "two registries share a login server, one with the default port",
        "registry1:
  loginServer: r.example.com
  upstream: { url: http://127.0.0.1:5000 }
registry2:
  loginServer: R.example.com:443
  upstream: { url: http://127.0.0.1:5000 }",
        "policy.yaml:4:1: login server `r.example.com` already belongs to registry `registry1`
  hint: the other is at policy.yaml:1:1",
    ),
    (
        "a path in the external URL",
        "  externalUrl: https://r.example.com/registry",
        "policy.yaml:4:16: `https://r.example.com/registry`: the URL has a path or a query: only the scheme, the host and the port belong here
  hint: such as https://registry.example.com",
    ),
    (
        "no scheme in the external URL",
        "  externalUrl: r.example.com",
        "policy.yaml:4:16: `r.example.com`: the URL must begin with http:// or https://
  hint: such as https://registry.example.com",
    ),
    (
        "a path in the upstream's URL",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: http://127.0.0.1:5000/v2/ }",
        "policy.yaml:3:20: `http://127.0.0.1:5000/v2/`: the URL has a path or a query: only the scheme, the host and the port belong here
  hint: such as https://registry.internal:5000",
    ),
    (
        "a password in the upstream's URL",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: 'http://user:hunter2@127.0.0.1:5000' }",
        "policy.yaml:3:20: a user name or a password has no place in a URL
  hint: such as https://registry.internal:5000",
    ),
    (
        "another scheme in the upstream's URL",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: ftp://127.0.0.1 }",
        "policy.yaml:3:20: `ftp://127.0.0.1`: the URL must begin with http:// or https://
  hint: such as https://registry.internal:5000",
    ),
    (
        "TLS options of an upstream without TLS",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: http://127.0.0.1:5000, ca: ca.pem, serverName: registry }",
        "policy.yaml:3:47: `ca` has no meaning for an http:// upstream
  hint: remove it, or use an https:// URL
policy.yaml:3:67: `serverName` has no meaning for an http:// upstream
  hint: remove it, or use an https:// URL",
    ),
    (
        "a credential without its keys",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: https://r, credential: { type: basic } }",
        "policy.yaml:3:43: a credential of type `basic` needs `username`
policy.yaml:3:43: a credential of type `basic` needs `password`",
    ),
    (
        "a credential with keys of another type",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: https://r, credential: { username: u, password: { file: a }, service: s } }",
        "policy.yaml:3:55: `username` has no meaning for a credential of type `none`
  hint: remove it, or set the `type` that it belongs to
policy.yaml:3:68: `password` has no meaning for a credential of type `none`
  hint: remove it, or set the `type` that it belongs to
policy.yaml:3:90: `service` has no meaning for a credential of type `none`
  hint: remove it, or set the `type` that it belongs to",
    ),
    (
        "a password in the text, a type that does not exist, an unknown key",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: https://r, credential: { type: basik, username: u, password: hunter2, realm: x } }",
        "policy.yaml:3:51: \"basik\" is not one of \"none\", \"basic\", \"token\", \"minted\"
  hint: did you mean \"basic\"?
policy.yaml:3:81: expected a mapping, found text
  hint: a secret is never written here itself: say where it is, such as { file: … }
policy.yaml:3:90: unknown key \"realm\"
  hint: did you mean \"realms\"?",
    ),
    (
        "secrets that are not there, and a user name with a colon",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: https://r, credential: { type: basic, username: 'a:b', password: { env: missing } } }
yourregistry:
  loginServer: s.example.com
  upstream: { url: https://r, credential: { type: token, username: u, password: { file: a, env: B } } }
theirregistry:
  loginServer: t.example.com
  upstream: { url: https://r, credential: { type: token, password: { file: empty } } }",
        "policy.yaml:3:68: a user name has one character or more, and no colon among them
policy.yaml:3:92: there is no variable missing
policy.yaml:6:81: a secret needs exactly one of `file` and `env`
  hint: a clear-text secret is never accepted
policy.yaml:9:43: a credential of type `token` needs `username`",
    ),
    (
        "realms that may not get a password",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: https://r, credential: { type: token, realms: [http://auth.example.com, https://a/token, 'http://[::1]'] } }",
        "policy.yaml:3:67: `http://auth.example.com` is not https: whoever is on the way could read the password
  hint: http is accepted on the loopback only
policy.yaml:3:92: `https://a/token`: the URL has a path or a query: only the scheme, the host and the port belong here
  hint: such as https://auth.example.com",
    ),
    (
        "tokens that are signed for nobody, or for everybody",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: https://r, credential: { type: minted, issuer: '' } }
yourregistry:
  loginServer: s.example.com
  upstream: { url: https://r, credential: { type: minted, service: s.example.com } }",
        "policy.yaml:3:43: a credential of type `minted` needs `service`
policy.yaml:3:67: this must not be empty
policy.yaml:6:68: warning: the upstream's service is called like the login server, so it accepts the access tokens of clients
  hint: give it another `service`, or whoever reaches it passes seawall's rules by",
    ),
    (
        "tokens that are good at another upstream, or come from another registry's clients",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: https://a, credential: { type: minted, service: distribution } }
yourregistry:
  loginServer: s.example.com
  upstream: { url: https://b, credential: { type: minted, service: Distribution } }
theirregistry:
  loginServer: t.example.com
  upstream: { url: https://c, credential: { type: minted, service: r.example.com } }
samearegistry:
  loginServer: u.example.com
  upstream: { url: https://d, credential: { type: minted, service: same } }
samebregistry:
  loginServer: v.example.com
  upstream: { url: https://d, credential: { type: minted, service: same } }",
        "policy.yaml:6:68: warning: the upstream of registry `myregistry` has this service too
  hint: a token for one is good at the other: give each a `service` of its own
policy.yaml:9:68: warning: this service is the login server of registry `myregistry`
  hint: the upstream accepts the access tokens of that registry's clients: choose another",
    ),
    (
        "credentials in clear text",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: http://registry.internal, credential: { type: basic, username: u, password: { file: a } } }
yourregistry:
  loginServer: s.example.com
  upstream: { url: http://registry.internal, credential: { type: minted, service: s } }
theirregistry:
  loginServer: t.example.com
  upstream: { url: http://localhost:5000, credential: { type: basic, username: u, password: { file: a } } }",
        "policy.yaml:3:58: warning: the password is sent to this upstream without TLS: whoever is on the way can read and use it
  hint: use an https:// URL, or an upstream on the loopback
policy.yaml:6:58: warning: access tokens are sent to this upstream without TLS: whoever is on the way can read and use it
  hint: use an https:// URL, or an upstream on the loopback",
    ),
    (
        "the authorities are missing",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: https://127.0.0.1:5000, ca: missing }",
        "policy.yaml:3:48: there is no file missing",
    ),
    (
        "an authority is malformed",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: https://127.0.0.1:5000, ca: broken.pem }",
        "policy.yaml:3:48: certificate number 1 in this file is malformed",
    ),
    (
        "the authorities are empty",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: https://127.0.0.1:5000, ca: empty }",
        "policy.yaml:3:48: there is no PEM certificate in this file",
    ),
    (
        "no timeout at all",
        "myregistry:
  loginServer: r.example.com
  upstream: { url: http://127.0.0.1:5000, timeouts: { read: 0s, connect: 10, idle: 1y } }",
        "policy.yaml:3:61: a timeout must be longer than zero
policy.yaml:3:74: a duration is a whole number and one of ms, s, m, h, d, such as 30s
policy.yaml:3:84: a duration is a whole number and one of ms, s, m, h, d, such as 30s",
    ),
    // Network rules.
    (
        "a rule is no address",
        "  networkRuleSet: { ipRules: [{ value: 203.0.113.256 }] }",
        "policy.yaml:4:40: not an IP address or CIDR range: `203.0.113.256`
  hint: write an IPv4 or IPv6 address or CIDR range, such as 203.0.113.0/24",
    ),
    (
        "a rule has bits beyond its prefix",
        "  networkRuleSet: { ipRules: [{ value: 203.0.113.1/24 }] }",
        "policy.yaml:4:40: the address has bits set outside its prefix: `203.0.113.1/24`
  hint: write 203.0.113.0/24 for the whole network, or 203.0.113.1 for the one address",
    ),
    // Beyond ACR (D8, D11).
    (
        "an additional scope map is unknown, another named twice",
        "  tokens: { ci: { scopeMap: _repositories_pull, additionalScopeMaps: [_repositories_pul, _repositories_push, _repositories_push] } }",
        "policy.yaml:4:71: there is no scope map `_repositories_pul`
  hint: did you mean `_repositories_pull`?
policy.yaml:4:110: the token has scope map `_repositories_push` already
  hint: remove one of them",
    ),
    (
        "additional passwords with the usual names, without one, or twice",
        "  tokens:
    ci:
      scopeMap: _repositories_pull
      additionalPasswords:
        - { name: password2, file: a }
        - { name: jane's, file: a }
        - { name: laptop, file: a }
        - { name: laptop, file: b }",
        "policy.yaml:8:19: `password2` is the name of a password that every token or admin account may have
policy.yaml:9:19: `jane's` is not a password name: use 1 to 50 letters, digits, `.`, `_` and `-`, not marks alone
policy.yaml:11:19: `laptop` is declared twice
  hint: rename or remove one of them",
    ),
    (
        "redirects that can lead nowhere",
        "myregistry:
  loginServer: r.example.com
  upstream:
    url: http://127.0.0.1:5000
    redirects: { mode: follow }",
        "policy.yaml:5:16: redirects can lead nowhere: there are no `origins`
  hint: add `origins: [ https://storage.example.com ]`",
    ),
    (
        "redirects to what is no origin, by what has no meaning",
        "myregistry:
  loginServer: r.example.com
  upstream:
    url: http://127.0.0.1:5000
    redirects:
      mode: follow
      origins: [ http://storage.example.com, https://storage.example.com/bucket, storage ]
      networks: [ 10.0.0.0/33 ]
      ca: ca.pem",
        "policy.yaml:7:46: `https://storage.example.com/bucket`: the URL has a path or a query: only the scheme, the host and the port belong here
  hint: such as https://storage.example.com
policy.yaml:7:82: `storage`: the URL must begin with http:// or https://
  hint: such as https://storage.example.com
policy.yaml:8:17: `networks` says to whom URLs are passed, with `mode: pass`
  hint: list at least one network with `mode: pass`, or remove it
policy.yaml:8:19: not a prefix length of this address: `10.0.0.0/33`
  hint: write 0 to 32 after an IPv4 address, 0 to 128 after an IPv6 address
policy.yaml:9:11: `ca` has no meaning without an https:// origin
  hint: remove it, or use https:// origins",
    ),
    (
        "data endpoints without a host",
        "  dataEndpointEnabled: true",
        "policy.yaml:4:24: `dataEndpointEnabled` is true, but there are no `dataEndpoints`
  hint: add `dataEndpoints: [ { region: westeurope, host: myregistry.westeurope.data.example.com } ]`",
    ),
    (
        "data endpoints with bad names, in one region twice, and at hosts that are taken",
        "  dataEndpoints:
    - { region: west europe, host: https://data.example.com }
    - { region: eu, host: data.example.com }
    - { region: EU, host: DATA.example.com:443 }
    - { region: us, host: R.example.com }",
        "policy.yaml:5:17: `west europe` is not a region name
  hint: use 1 to 50 letters, digits, `.`, `_` and `-`, not marks alone
policy.yaml:5:36: `https://data.example.com`: not a host name with an optional port
  hint: such as myregistry.westeurope.data.example.com
policy.yaml:7:17: two data endpoints are in region `EU`
  hint: the other is at policy.yaml:6:17
policy.yaml:7:27: data endpoint `data.example.com` already belongs to registry `myregistry`
  hint: the other is at policy.yaml:6:27
policy.yaml:8:27: data endpoint `r.example.com` already belongs to registry `myregistry` as its login server
  hint: the other is at policy.yaml:1:1",
    ),
    // What is kept of contents.
    (
        "sizes and ages of the content cache have units",
        "  contentCache: { memory: 64, largestBlob: 1MB, maximumAge: 60, tagAge: 2sec }",
        "policy.yaml:4:27: a size is a whole number and one of B, KiB, MiB, GiB, TiB, such as 64MiB
policy.yaml:4:44: a size is a whole number and one of B, KiB, MiB, GiB, TiB, such as 64MiB
policy.yaml:4:61: a duration is a whole number and one of ms, s, m, h, d, such as 30s
policy.yaml:4:73: a duration is a whole number and one of ms, s, m, h, d, such as 30s",
    ),
    (
        "nothing is kept in no memory",
        "  contentCache: { memory: 0B }",
        "policy.yaml:4:27: nothing can be kept in no memory
  hint: write `contentCache: off` to keep nothing",
    ),
    (
        "a blob is larger than the memory",
        "  contentCache: { memory: 1MiB, largestBlob: 2MiB }",
        "policy.yaml:4:46: a blob of `largestBlob` is larger than all of `memory`
  hint: make `memory` larger or `largestBlob` smaller",
    ),
    (
        "a large blob belongs on a disk",
        "  contentCache: { memory: 1GiB, largestBlob: 65MiB }",
        "policy.yaml:4:46: blobs over 64MiB are not kept in memory
  hint: keep them on a disk, with `disk`",
    ),
    (
        "a disk has room for nothing",
        "  contentCache: { largestBlob: 2MiB, disk: { directory: '', size: 4MiB, largestBlob: 1537KiB } }",
        "policy.yaml:4:57: the directory has no name
  hint: such as /var/cache/seawall
policy.yaml:4:86: a blob of `largestBlob` takes more than a quarter of `size`
  hint: make `size` larger or `largestBlob` smaller
policy.yaml:4:86: no blob would be kept on the disk: those up to `largestBlob` are in memory
  hint: make `disk.largestBlob` larger than `largestBlob`",
    ),
];
