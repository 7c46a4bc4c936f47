/** Remembers what the page says to the server, and hears from it; changes nothing. Comes before the package. */

globalThis.requests = [];
globalThis.frames = [];
globalThis.socketUrls = [];

const { fetch } = globalThis;
globalThis.fetch = async (...args) => {
  const answer = await fetch(...args);
  globalThis.requests.push({ ...JSON.parse(args[1].body), answer: await answer.clone().json() });
  return answer;
};

globalThis.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    globalThis.socketUrls.push(this.url);
    this.addEventListener("message", ({ data }) => globalThis.frames.push(JSON.parse(data)));
  }
};
