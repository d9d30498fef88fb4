'use strict';
const { version, line } = require('../lib/release');
const { html } = require('./http');

const page = (title, content) => `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem}small{color:#555}</style></head>
<body>${content}<p><small>Rehearsal double of Langfuse, release ${version} (behaves as the v${line} line). Not Langfuse itself.</small></p></body></html>
`;

// As pages do: without Postgres there is none.
async function show({ db }, response, path) {
  await db.query('SELECT 1');
  if (path === '/') return html(response, 200, page('Langfuse (rehearsal)', '<h1>Langfuse (rehearsal)</h1><p>The stack is up. <a href="/auth/sign-in">Sign in</a></p>'));
  html(response, 200, page('Sign in | Langfuse (rehearsal)', '<h1>Sign in</h1><p>This double has no user interface. Its API answers below <code>/api/public</code>.</p>'));
}

module.exports = { show };
