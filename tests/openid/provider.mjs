// A real OpenID provider for tests: oidc-provider, with users, keys and clients that tests change while it runs.
//
// It reads its configuration from standard input. The login page asks for a name, which must be the subject of a user. Below
// /test/ are the requests of tests. The pages are ours: those of the package load a font from another site.

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
let provider = make();

const page = (title, body) => `<!doctype html><html lang="en"><title>${title}</title><h1>${title}</h1>${body}`;
const LOGIN = page(
  "Example ID",
  `<form action="" method="post"><input name="login" aria-label="Name"><button>Continue</button></form>`,
);

function make() {
  return new Provider(issuer, {
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
    interactions: { url: (_context, interaction) => `/log-in/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: {
        logoutSource: (context, form) => {
          const button = '<button form="op.logoutForm" name="logout" value="yes">Sign out</button>';
          context.body = page("Sign out of Example ID?", form + button);
        },
      },
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
}

async function bodyOf(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}

async function logIn(request, response) {
  if (request.method !== "POST") return response.setHeader("Content-Type", "text/html").end(LOGIN);
  const accountId = new URLSearchParams(await bodyOf(request)).get("login");
  return provider.interactionFinished(request, response, { login: { accountId } });
}

async function change(path, body) {
  Object.assign(state, body);
  if (path === "/test/rotate") key = newKey(body.kid);
  // A new provider has forgotten the sessions and codes of the one before.
  if (path !== "/test/users" && path !== "/test/tokens") provider = make();
}

async function respond(request, response) {
  if (request.url === "/favicon.ico") return response.writeHead(204).end();
  if (request.url.startsWith("/log-in/")) return logIn(request, response);
  if (!request.url.startsWith("/test/")) return provider.callback()(request, response);
  await change(request.url, JSON.parse(await bodyOf(request)));
  return response.end();
}

createServer(respond).listen(state.port, "127.0.0.1");
