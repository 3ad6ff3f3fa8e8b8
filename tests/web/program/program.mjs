// andiron serve with the model that it brings, and its page. It is started as the tests with other people's clients start it
// (tests/serve/server.mjs), from where that lies: this file is copied to where npm's packages are.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { browse } from '../browser.mjs';

const launcher = pathToFileURL(join(process.env.ANDIRON_SOURCE_DIR, 'tests/serve/server.mjs'));
const { serveForTests, sleep } = await import(launcher.href);
export { sleep };

export const phone = { width: 390, height: 844 };

// One for all tests of a file, in a home of its own. What is given: {server, visit, json}.
export async function program() {
  const server = await serveForTests({ args: ['--ctx', '1024'] });
  return {
    server,
    visit: (how) => browse(`${server.url}/`, { patience: 60_000, ...how }),
    // What the server says of itself, without the page.
    json: async (route) => (await server.get(route)).json(),
  };
}
