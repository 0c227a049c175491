import { useId } from 'react';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../format/useFormats';
import type { DrillTarget } from '../parts/drillTargets';
import type { StageLook } from '../parts/useStages';
import { DrillMark } from './DrillMark';
import { layoutFlows, type FlowInput, type FlowLink, type FlowNode } from './flowLayout';
import { textWidth } from './measure';
import { Sized } from './Sized';

type Props = {
  flows: readonly FlowInput[];
  stages: readonly StageLook[];
  lookOf: (key: string) => StageLook;
  isShort: boolean;
  targetOf: (flow: FlowInput) => DrillTarget;
  label: string;
};

const HEIGHT = 336;
const GAP = 11;
const BAR = 7;
const LABEL_GAP = 8;
/** A thinner link could not be seen, or hit. */
const MIN_LINK = 1.2;
const MIN_NODE = 2;

/** Moves between stages in two columns. Moves back to an earlier stage are hatched. */
export function FlowChart({ flows, stages, lookOf, isShort, targetOf, label }: Props) {
  const formats = useFormats();
  const order = stages.map((stage) => stage.key);
  const layout = layoutFlows(flows, order, { height: HEIGHT - 8, gap: GAP });
  const nameOf = (node: FlowNode) => (isShort ? lookOf(node.key).short : lookOf(node.key).name);
  const widest = (nodes: FlowNode[]) =>
    Math.max(0, ...nodes.map((node) => textWidth(`${nameOf(node)} ${formats.int(node.total)}`)));
  const [labelLeft, labelRight] = [widest(layout.left) + LABEL_GAP + 4, widest(layout.right) + LABEL_GAP + 4];
  return (
    <Sized height={HEIGHT} label={label}>
      {(width) => {
        const [x0, x1] = [labelLeft + BAR, width - labelRight - BAR];
        return (
          <>
            <Hatch />
            <g className="flow" transform="translate(0,4)">
              {layout.links.map((link) => (
                <Link key={`${link.from} ${link.to}`} {...{ link, x0, x1, lookOf, to: targetOf(link) }} />
              ))}
            </g>
            <g transform="translate(0,4)" aria-hidden>
              {layout.left.map((node) => (
                <Node key={node.key} {...{ node, side: 'left', x: labelLeft, name: nameOf(node), lookOf }} />
              ))}
              {layout.right.map((node) => (
                <Node key={node.key} {...{ node, side: 'right', x: x1, name: nameOf(node), lookOf }} />
              ))}
            </g>
          </>
        );
      }}
    </Sized>
  );
}

function Hatch() {
  return (
    <defs>
      <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <line x1="0" y1="0" x2="0" y2="6" className="hatch" />
      </pattern>
    </defs>
  );
}

type LinkProps = {
  link: FlowLink;
  x0: number;
  x1: number;
  lookOf: (key: string) => StageLook;
  to: DrillTarget;
};

function Link({ link, x0, x1, lookOf, to }: LinkProps) {
  const { t } = useTranslation();
  const formats = useFormats();
  const id = useId();
  const half = Math.max(link.height, MIN_LINK) / 2;
  const middle = (x0 + x1) / 2;
  const path = [
    `M${x0},${link.start - half}C${middle},${link.start - half} ${middle},${link.end - half} ${x1},${link.end - half}`,
    `L${x1},${link.end + half}C${middle},${link.end + half} ${middle},${link.start + half} ${x0},${link.start + half}Z`,
  ].join('');
  const name = t(link.isBack ? 'flows.back' : 'flows.link', {
    from: lookOf(link.from).name,
    to: lookOf(link.to).name,
    moves: formats.int(link.moves),
    customers: formats.int(link.customers),
  });
  return (
    <DrillMark to={to} name={name} data-back={link.isBack}>
      <path id={id} d={path} fill={lookOf(link.to).fill} className="flow-link" />
      {link.isBack && <path d={path} fill="url(#hatch)" />}
    </DrillMark>
  );
}

type NodeProps = {
  node: FlowNode;
  side: 'left' | 'right';
  x: number;
  name: string;
  lookOf: (key: string) => StageLook;
};

function Node({ node, side, x, name, lookOf }: NodeProps) {
  const formats = useFormats();
  const height = Math.max(node.height, MIN_NODE);
  const isLeft = side === 'left';
  return (
    <>
      <rect x={x} y={node.y} width={BAR} height={height} rx={2} fill={lookOf(node.key).ink} />
      <text
        x={isLeft ? x - LABEL_GAP : x + BAR + LABEL_GAP}
        y={node.y + height / 2 + 4}
        textAnchor={isLeft ? 'end' : 'start'}
      >
        {name} <tspan className="muted">{formats.int(node.total)}</tspan>
      </text>
    </>
  );
}
