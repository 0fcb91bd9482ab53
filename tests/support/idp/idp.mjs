// A real OpenID provider for tests: `oidc-provider`, certified, on a port of the loopback.
//
//   node idp.mjs key JWKS_FILE KID          puts a new key first in the file
//   node idp.mjs sign JWKS_FILE             signs the tokens that standard input describes, whatever they say
//   node idp.mjs serve JWKS_FILE PORT AUDIENCE
//
// Signs with the first key of the file and publishes all of them. Clients: `ci-bot`, `stranger` and a GUID with the secret `NAME-secret` (client_credentials), `cli` (device
// flow). Access tokens for AUDIENCE are JWTs that live ten minutes and say `groups`, `oid` and `tid`.

import { constants, createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import fs from 'node:fs';

const [command, file, ...rest] = process.argv.slice(2);
const keys = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')).keys : [];
if (command === 'key') {
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  fs.writeFileSync(file, JSON.stringify({ keys: [{ ...key, kid: rest[0], use: 'sig', alg: 'RS256' }, ...keys] }));
  process.exit(0);
}
if (command === 'sign') {
  const own = createPrivateKey({ key: keys[0], format: 'jwk' });
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const embedded = stranger.publicKey.export({ format: 'jwk' });
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  const signatures = {
    own: (text) => sign('sha256', text, own),
    pss: (text) => sign('sha256', text, { key: own, ...pss }),
    stranger: (text) => sign('sha256', text, stranger.privateKey),
    publicKey: (text) =>
      createHmac('sha256', createPublicKey(own).export({ format: 'pem', type: 'spki' })).update(text).digest(),
    none: () => Buffer.alloc(0),
  };
  const part = (text) => Buffer.from(text).toString('base64url');
  const tokens = JSON.parse(fs.readFileSync(0, 'utf8')).map(({ header, payload, by }) => {
    const text = `${part(header.replace('"EMBEDDED"', JSON.stringify(embedded)))}.${part(payload)}`;
    return `${text}.${part(signatures[by](Buffer.from(text)))}`;
  });
  console.log(JSON.stringify(tokens));
  process.exit(0);
}

const [port, audience] = rest;
const { Provider } = await import(process.env.OIDC_PROVIDER);
const issuer = `http://127.0.0.1:${port}`;
const groups = { 'ci-bot': ['builders', 'everybody'], stranger: ['nobody'] };

const machine = (name) => ({
  client_id: name,
  client_secret: `${name}-secret`,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
});

const provider = new Provider(issuer, {
  jwks: { keys },
  cookies: { keys: ['only', 'in tests'] },
  clients: [
    machine('ci-bot'),
    machine('stranger'),
    machine('b7f1c0de-12b4-4abc-8def-0123456789ab'),
    {
      client_id: 'cli',
      token_endpoint_auth_method: 'none',
      application_type: 'native',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  scopes: ['openid', 'offline_access'],
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  extraTokenClaims: async (_, token) => ({
    groups: groups[token.clientId] ?? ['people'],
    oid: `oid-of-${token.clientId}`,
    tid: 'tenant-1',
  }),
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: 'registry',
        audience: resource,
        accessTokenTTL: 600,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});

provider.listen(Number(port), '127.0.0.1', () => console.log(`listening at ${issuer}`));
