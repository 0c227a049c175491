let context: CanvasRenderingContext2D | null | undefined;

/** Returns the width of a label in the font of the charts, before it is drawn. */
export function textWidth(text: string): number {
  context ??= document.createElement('canvas').getContext('2d');
  if (context === null) return text.length * 7;
  context.font = "12px 'Inter Variable', system-ui, sans-serif";
  return Math.ceil(context.measureText(text).width);
}
