// Markdown to nodes that can do nothing: what a model writes is not trusted, whoever told it to write so.
//
// Raw HTML is shown as text. What Markdown makes is sanitised after rendering, to the list of tags below; pictures become
// links, as loading one would tell somebody else that it was read; links open elsewhere and say nothing of where from.
import DOMPurify from 'dompurify';
import { Marked, type Token } from 'marked';

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text: string) => text.replace(/[&<>"']/g, (sign) => escapes[sign]);

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text }) => escape(text),
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
    // The page's own headings stand above.
    heading(token) {
      const level = Math.min(token.depth + 2, 6);
      return `<h${level}>${this.parser.parseInline(token.tokens)}</h${level}>`;
    },
  },
});

const allowedTags =
  'a blockquote br code del em h3 h4 h5 h6 hr li ol p pre strong table tbody td th thead tr ul #text'.split(' ');
const rules = {
  ALLOWED_TAGS: allowedTags,
  ALLOWED_ATTR: ['href', 'title', 'start', 'align', 'class'],
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true as const,
};

// The parts of a text that stand one under the other. A part whose `raw` stays the same looks the same, so that while an
// answer comes only its last part is made anew.
export function partsOf(text: string): Token[] {
  try {
    return marked.lexer(text).filter(({ type }) => type !== 'space' && type !== 'def');
  } catch {
    return [{ type: 'text', raw: text, text }]; // quotes within quotes beyond what can be read
  }
}

export function nodesOf(token: Token): DocumentFragment {
  try {
    return sanitised(token);
  } catch {
    const fragment = document.createDocumentFragment();
    fragment.append(token.raw);
    return fragment;
  }
}

function sanitised(token: Token): DocumentFragment {
  const fragment = DOMPurify.sanitize(marked.parser([token]), rules);
  for (const element of fragment.querySelectorAll('[class]')) {
    if (element.localName !== 'code' || !/^language-[\w+#.-]{1,30}$/.test(element.className)) {
      element.removeAttribute('class');
    }
  }
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  }
  return fragment;
}
