// What a browser loads for the entry route, and for each page and dialog beyond what is there already.

/** The chunks that a browser loads before a chunk can run, itself included. */
export function closure(manifest, name, found = new Set()) {
  if (found.has(name)) return found;
  found.add(name);
  for (const next of manifest[name].imports ?? []) closure(manifest, next, found);
  return found;
}

/** The chunks of the entry route: those of the shell and of its page. */
export const entryChunks = (manifest, route) =>
  new Set([...closure(manifest, 'index.html'), ...closure(manifest, route)]);

/** What each dynamic chunk adds: a page to the entry, a dialog of a page to that page. */
export function additions(manifest, route) {
  const entry = entryChunks(manifest, route);
  const loadedBefore = (name) => {
    const folder = name.slice(0, name.lastIndexOf('/') + 1);
    const page = Object.keys(manifest).find(
      (other) => other.startsWith(folder) && other.endsWith('Page.tsx'),
    );
    return page === undefined || page === name ? entry : new Set([...entry, ...closure(manifest, page)]);
  };
  return Object.entries(manifest)
    .filter(([name, chunk]) => chunk.isDynamicEntry && name !== route)
    .map(([name]) => {
      const before = loadedBefore(name);
      const chunks = [...closure(manifest, name)].filter((each) => !before.has(each));
      return { name, chunks, beyond: before === entry ? 'the entry' : 'its page' };
    });
}

/** Whether a size in bytes is over a limit in kB. */
export const isOver = (size, limit) => size > limit * 1000;
