/** The client that the guide calls `api`: its answers have the body in `data`. */
export default {
  async get(path, { params = {} } = {}) {
    const answer = await fetch(`${path}?${new URLSearchParams(params)}`);
    return { data: await answer.json() };
  },
};
