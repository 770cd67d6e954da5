// node provider.mjs SETTINGS.json: an OpenID provider under TLS, of npm's oidc-provider.
//
// Everything that programs ask it is the library's own: discovery, keys, authorization, token,
// introspection, revocation, userinfo. Of ours are the two things that a library leaves open: who
// logs in (whom the request names in `login_hint`, without a password, and he consents to all that
// is asked for), and RFC 6749's password grant, which the library has not got.
//
// SETTINGS.json, which tests/system/oidc_provider.py writes:
//   issuer, port, certificate, key   the URL; the port of 127.0.0.1; files, PEM
//   jwks, cookie_key                 private signing keys; a secret
//   clients                          as the library has them (RFC 7591's members)
//   accounts                         name to { password, claims }
//   resources                        URL (RFC 8707) to
//     { audience, scope, format, ttl, alg, header, payload }: `format` is "opaque" or "jwt"; ttl in
//     seconds; members of `header` and `payload` are put into a JWT in place of the library's own,
//     `age`, seconds, has it begin and end that much earlier
// Nothing is kept: what it issued is gone once it has ended.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { timingSafeEqual, createHash } from 'node:crypto';

import Provider, { errors } from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));

const digest = (text) => createHash('sha256').update(text).digest();

const account = (name) => {
  if (!Object.hasOwn(settings.accounts, name)) return undefined;
  const { claims } = settings.accounts[name];
  return { accountId: name, claims: () => ({ sub: name, ...claims }) };
};

const resource = (url) => {
  if (!Object.hasOwn(settings.resources, url)) throw new errors.InvalidTarget();
  return settings.resources[url];
};

const words = (text) => (text ?? '').split(' ').filter(Boolean);

// All of it: what is the provider's own, and what is a resource's.
const grantOf = (accountId, clientId, scope, url) => {
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope(scope);
  if (url) {
    const offered = words(resource(url).scope);
    grant.addResourceScope(url, words(scope).filter((word) => offered.includes(word)).join(' '));
  }
  return grant;
};

const resourceServer = (url) => {
  const { audience, scope, format, ttl, alg } = resource(url);
  return {
    audience,
    scope,
    accessTokenTTL: ttl,
    accessTokenFormat: format,
    jwt: format === 'jwt' ? { sign: { alg } } : undefined,
  };
};

const provider = new Provider(settings.issuer, {
  clients: settings.clients,
  jwks: settings.jwks,
  cookies: { keys: [settings.cookie_key] },
  findAccount: (ctx, name) => account(name),
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username'],
    email: ['email', 'email_verified'],
  },
  scopes: ['openid', 'offline_access', 'xmpp'],
  clientDefaults: { grant_types: ['authorization_code', 'refresh_token'] },
  // Who it is, in access tokens and in introspection, as Keycloak and authentik say it.
  extraTokenClaims: (ctx, token) => {
    const claims = settings.accounts[token.accountId]?.claims ?? {};
    return { preferred_username: claims.preferred_username };
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: (ctx, client, code) => code.scopes.has('offline_access'),
  ttl: {
    AccessToken: (ctx, token) => token.resourceServer?.accessTokenTTL ?? 3600,
    Grant: 86400,
    IdToken: 3600,
    Interaction: 600,
    // No longer than an access token: nothing but its kind tells the two apart.
    RefreshToken: 3600,
    Session: 86400,
  },
  enabledJWA: {
    idTokenSigningAlgValues: ['RS256', 'ES256'],
    userinfoSigningAlgValues: ['RS256'],
  },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    jwtUserinfo: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, url) => resourceServer(url),
    },
  },
  formats: {
    customizers: {
      jwt: (ctx, token, jwt) => {
        const { age, header, payload } = resource(token.resourceServer.identifier());
        jwt.header = header;
        jwt.payload.iat -= age ?? 0;
        jwt.payload.exp -= age ?? 0;
        Object.assign(jwt.payload, payload);
      },
    },
  },
});

// Who is named in the request has logged in, and consents.
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const { params } = await provider.interactionDetails(ctx.req, ctx.res);
  const { login_hint: name, client_id: client, scope, resource: url } = params;
  const grant = grantOf(name, client, scope, url);
  const result = {
    login: { accountId: name },
    consent: { grantId: await grant.save() },
  };
  ctx.status = 303;
  ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result));
  return undefined;
});

// RFC 6749, 4.3.
provider.registerGrantType(
  'password',
  async (ctx, next) => {
    const { params: { username, password, scope = '', resource: url }, client } = ctx.oidc;
    const known = Object.hasOwn(settings.accounts, username ?? '')
      && timingSafeEqual(digest(settings.accounts[username].password), digest(password ?? ''));
    if (!known) throw new errors.InvalidGrant('wrong user or password');
    const grant = grantOf(username, client.clientId, scope, url);
    const token = new provider.AccessToken({
      accountId: username,
      client,
      grantId: await grant.save(),
      gty: 'password',
      scope,
    });
    if (url) {
      token.resourceServer = new provider.ResourceServer(url, resourceServer(url));
      token.scope = grant.getResourceScopeFiltered(url, words(scope));
    }
    ctx.oidc.entity('AccessToken', token);
    ctx.body = {
      access_token: await token.save(),
      expires_in: token.expiration,
      scope: token.scope,
      token_type: token.tokenType,
    };
    await next();
  },
  ['username', 'password', 'scope', 'resource'],
  ['resource'],
);

provider.on('server_error', (ctx, error) => console.error(error.stack));

createServer(
  { cert: readFileSync(settings.certificate), key: readFileSync(settings.key) },
  provider.callback(),
).listen(settings.port, '127.0.0.1');
