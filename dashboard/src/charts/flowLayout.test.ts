import { expect, test } from 'vitest';

import { layoutFlows, type FlowInput } from './flowLayout';

const ORDER = ['prospect', 'lead', 'customer', 'regular', 'vip', 'at_risk', 'churned'];
const BOX = { height: 300, gap: 10 };
const flow = (from: string, to: string, moves: number): FlowInput => ({ from, to, moves, customers: moves });

const sum = (values: { total: number }[]) => values.reduce((all, each) => all + each.total, 0);

/** Every stage to every other one, so that each possible cycle is there. */
const EVERYTHING = ORDER.flatMap((from, row) =>
  ORDER.filter((to) => to !== from).map((to, column) => flow(from, to, ((row * 7 + column * 3) % 11) + 1)),
);

test.each([
  ['a way up', [flow('prospect', 'lead', 5), flow('lead', 'customer', 3)]],
  ['a cycle', [flow('regular', 'at_risk', 9), flow('at_risk', 'regular', 4)]],
  ['every cycle there can be', EVERYTHING],
  ['stages that the map no longer has', [flow('old', 'older', 2), flow('older', 'old', 1)]],
])('the totals of both sides equal the moves: %s', (_, flows) => {
  const { left, right, links, total } = layoutFlows(flows, ORDER, BOX);

  expect(sum(left)).toBe(total);
  expect(sum(right)).toBe(total);
  expect(links).toHaveLength(flows.length);
  for (const [nodes, side, at] of [
    [left, 'from', 'start'],
    [right, 'to', 'end'],
  ] as const) {
    for (const node of nodes) {
      const own = links.filter((link) => link[side] === node.key);
      expect(own.reduce((all, link) => all + link.height, 0)).toBeCloseTo(node.height);
      expect(Math.min(...own.map((link) => link[at] - link.height / 2))).toBeCloseTo(node.y);
    }
  }
});

test('both columns stay within the box and keep the order of the map', () => {
  const { left, right } = layoutFlows(EVERYTHING, ORDER, BOX);

  for (const nodes of [left, right]) {
    expect(nodes.map((node) => node.key)).toEqual(ORDER);
    expect(nodes[0]?.y).toBeGreaterThanOrEqual(0);
    const last = nodes.at(-1);
    expect((last?.y ?? 0) + (last?.height ?? 0)).toBeLessThanOrEqual(BOX.height + 1e-6);
  }
});

test('a move to an earlier stage is marked as one back', () => {
  const { links } = layoutFlows([flow('at_risk', 'vip', 1), flow('vip', 'at_risk', 1)], ORDER, BOX);

  expect(links.map((link) => link.isBack)).toEqual([true, false]);
});

test('without moves there is nothing to draw', () => {
  expect(layoutFlows([flow('lead', 'vip', 0)], ORDER, BOX)).toEqual({
    left: [],
    right: [],
    links: [],
    total: 0,
  });
});
