// The loss of every step and of the rows held out, drawn; and told in words for whoever does not see it.
import type { JobEvent } from '../types';

export interface Points {
  train: [step: number, loss: number][];
  heldOut: [step: number, loss: number][];
}

export function pointsOf(events: JobEvent[]): Points {
  const points: Points = { train: [], heldOut: [] };
  const add = (list: Points['train'], step: number, loss: number | null | undefined) => {
    if (typeof loss !== 'number') return; // none of this step, or one that is no number
    // A run that goes on after an end that was not its own takes its last steps again.
    while (list.length > 0 && list[list.length - 1][0] >= step) list.pop();
    list.push([step, loss]);
  };
  for (const { data } of events) {
    if (typeof data?.step !== 'number') continue;
    add(points.train, data.step, data.train_loss);
    add(points.heldOut, data.step, data.valid_loss);
  }
  return points;
}

const width = 640;
const height = 240;
const left = 48;
const bottom = 28;
const top = 12;
const right = 12;

// A round distance between lines, so that about `count` of them fit.
function roundStep(span: number, count: number): number {
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw)!;
}

function marksOf(low: number, high: number, count: number): number[] {
  if (!(high > low)) return [low];
  const step = roundStep(high - low, count);
  const marks: number[] = [];
  for (let mark = Math.ceil(low / step) * step; mark <= high + step * 1e-6; mark += step) marks.push(mark);
  return marks;
}

export function LossChart({ points }: { points: Points }) {
  const all = [...points.train, ...points.heldOut];
  if (all.length < 2) return null;
  const xs = all.map(([step]) => step);
  const ys = all.map(([, loss]) => loss);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const [y0, y1] = [Math.min(...ys), Math.max(...ys)];
  const x = (step: number) => left + ((step - x0) / (x1 - x0 || 1)) * (width - left - right);
  const y = (loss: number) => height - bottom - ((loss - y0) / (y1 - y0 || 1)) * (height - top - bottom);
  const line = (list: Points['train']) => list.map(([step, loss]) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`).join(' ');
  const told = (name: string, list: Points['train']) =>
    list.length > 0 ? ` ${name}: from ${list[0][1].toFixed(3)} to ${list.at(-1)![1].toFixed(3)}.` : '';
  const label = `Loss over ${x1} steps.${told('Training', points.train)}${told('Held out', points.heldOut)}`;
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
        {marksOf(y0, y1, 4).map((mark) => (
          <g key={`y${mark}`}>
            <line class="grid" x1={left} x2={width - right} y1={y(mark)} y2={y(mark)} />
            <text x={left - 6} y={y(mark) + 4} text-anchor="end">
              {Number(mark.toPrecision(4))}
            </text>
          </g>
        ))}
        {marksOf(x0, x1, 6).map((mark) => (
          <text key={`x${mark}`} x={x(mark)} y={height - 8} text-anchor="middle">
            {Number(mark.toPrecision(6))}
          </text>
        ))}
        <polyline class="train" points={line(points.train)} />
        <polyline class="held-out" points={line(points.heldOut)} />
        {points.heldOut.map(([step, loss]) => (
          <circle key={step} class="held-out" cx={x(step)} cy={y(loss)} r={3} />
        ))}
      </svg>
      <figcaption class="faint">
        Loss by step: a line for what is trained on{points.heldOut.length > 0 && ', dots for what is held out'}. Less is better.
      </figcaption>
    </figure>
  );
}
