// Markdown on the screen: code with a button that copies it, tables that scroll.
import { useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import type { Token } from 'marked';
import { nodesOf, partsOf } from '../markdown';
import { copy } from './copy';

function frameCode(pre: HTMLPreElement): void {
  const code = pre.querySelector('code');
  const frame = document.createElement('div');
  frame.className = 'code';
  const head = document.createElement('div');
  head.className = 'code-head';
  const name = document.createElement('span');
  name.textContent = code?.className.replace('language-', '') || 'text';
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Copy code';
  button.addEventListener('click', () => void copy(pre.textContent ?? '', 'The code'));
  head.append(name, button);
  pre.replaceWith(frame);
  pre.tabIndex = 0; // so that it can be scrolled by keys
  frame.append(head, pre);
}

function frameTable(table: HTMLTableElement): void {
  const frame = document.createElement('div');
  frame.className = 'table';
  frame.tabIndex = 0;
  frame.setAttribute('role', 'group');
  frame.setAttribute('aria-label', 'Table');
  table.replaceWith(frame);
  frame.append(table);
}

function Part({ raw, token }: { raw: string; token: Token }) {
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const nodes = nodesOf(token);
    nodes.querySelectorAll('pre').forEach(frameCode);
    nodes.querySelectorAll('table').forEach(frameTable);
    element.current!.replaceChildren(nodes);
  }, [raw]); // the token is another one each time
  return <div ref={element} />;
}

export function Markdown({ text }: { text: string }) {
  const parts = useMemo(() => partsOf(text), [text]);
  return (
    <div class="markdown">
      {parts.map((token, i) => (
        <Part key={i} raw={token.raw} token={token} />
      ))}
    </div>
  );
}
