/** The two columns of the flow chart: where customers came from, and where they went. Cycles cannot arise. */
export type FlowInput = { from: string; to: string; moves: number; customers: number };
export type FlowNode = { key: string; total: number; y: number; height: number };
export type FlowLink = FlowInput & {
  isBack: boolean;
  height: number;
  /** The middle of the link at its two ends. */
  start: number;
  end: number;
};
export type FlowLayout = { left: FlowNode[]; right: FlowNode[]; links: FlowLink[]; total: number };

type Box = { height: number; gap: number };

/**
 * Lays out flows between stages.
 *
 * Both columns list the stages in the order of the map. Every link begins and ends at its own place, so that the links
 * of a stage together are as high as its bar, on both sides.
 */
export function layoutFlows(flows: readonly FlowInput[], order: readonly string[], box: Box): FlowLayout {
  const rank = new Map(order.map((key, index) => [key, index]));
  const rankOf = (key: string) => rank.get(key) ?? order.length;
  const shown = flows.filter((flow) => flow.moves > 0);
  const total = shown.reduce((sum, flow) => sum + flow.moves, 0);
  const keysOf = (side: 'from' | 'to') =>
    [...new Set(shown.map((flow) => flow[side]))].toSorted(
      (a, b) => rankOf(a) - rankOf(b) || a.localeCompare(b),
    );
  const [leftKeys, rightKeys] = [keysOf('from'), keysOf('to')];
  const gaps = box.gap * Math.max(leftKeys.length - 1, rightKeys.length - 1, 0);
  const scale = total === 0 ? 0 : Math.max(box.height - gaps, 0) / total;

  const column = (keys: string[], side: 'from' | 'to'): FlowNode[] => {
    let y = (box.height - total * scale - box.gap * Math.max(keys.length - 1, 0)) / 2;
    return keys.map((key) => {
      const own = shown.filter((flow) => flow[side] === key).reduce((sum, flow) => sum + flow.moves, 0);
      const node = { key, total: own, y, height: own * scale };
      y += node.height + box.gap;
      return node;
    });
  };
  const [left, right] = [column(leftKeys, 'from'), column(rightKeys, 'to')];

  const links: FlowLink[] = shown.map((flow) => ({
    ...flow,
    isBack: rankOf(flow.to) < rankOf(flow.from),
    height: flow.moves * scale,
    start: 0,
    end: 0,
  }));
  const place = (nodes: FlowNode[], side: 'from' | 'to', other: 'from' | 'to', set: 'start' | 'end') => {
    for (const node of nodes) {
      let y = node.y;
      const own = links.filter((link) => link[side] === node.key);
      for (const link of own.toSorted((a, b) => rankOf(a[other]) - rankOf(b[other]))) {
        link[set] = y + link.height / 2;
        y += link.height;
      }
    }
  };
  place(left, 'from', 'to', 'start');
  place(right, 'to', 'from', 'end');
  return { left, right, links, total };
}
