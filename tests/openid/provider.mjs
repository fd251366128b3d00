// A real OpenID provider for tests: oidc-provider, with users, keys and clients that tests change while it runs.
//
// It reads its configuration from standard input. Its own login page asks for a name, which must be that of a user, and any
// password. Below /test/ are the requests of tests.

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

let given = "";
for await (const chunk of process.stdin) given += chunk;
const state = JSON.parse(given);
const issuer = `http://127.0.0.1:${state.port}`;

const newKey = (kid) => ({
  ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }),
  kid,
  use: "sig",
  alg: "RS256",
});

let key = newKey("first");
let respond = make();

function make() {
  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    clients: state.clients,
    claims: {
      openid: ["sub"],
      profile: ["preferred_username"],
      email: ["email", "email_verified"],
      groups: ["groups", "_claim_names"],
    },
    conformIdTokenClaims: !state.inIdToken,
    cookies: { keys: ["of the cookies in tests"] },
    ttl: { IdToken: () => state.tokenSeconds, AccessToken: 600, Grant: 3600, Interaction: 600, Session: 3600 },
    findAccount: (_context, id) => {
      const user = state.users[id];
      return user && { accountId: id, claims: () => ({ sub: id, ...user }) };
    },
    // Nobody is asked for consent.
    loadExistingGrant: async (context) => {
      const { client, session, params } = context.oidc;
      const grant = new context.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope(params.scope);
      await grant.save();
      return grant;
    },
  });
  return provider.callback();
}

async function change(path, body) {
  Object.assign(state, body);
  if (path === "/test/rotate") key = newKey(body.kid);
  // A new provider has forgotten the sessions and codes of the one before.
  if (path !== "/test/users" && path !== "/test/tokens") respond = make();
}

createServer(async (request, response) => {
  if (!request.url.startsWith("/test/")) return respond(request, response);
  let text = "";
  for await (const chunk of request) text += chunk;
  await change(request.url, JSON.parse(text));
  response.end();
}).listen(state.port, "127.0.0.1");
