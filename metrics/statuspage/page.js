// Keeps the page live: replaces what changed, and says so when nothing comes, because an old page that looks well is
// worse than none.
const root = document.documentElement;
const changed = new Map();
let heard = Date.now();
let stream;

const icon = (tone) => { document.getElementById('icon').href = `icon-${tone}.svg`; };

function show() {
  const selection = getSelection();
  for (const [id, html] of changed) {
    const section = document.getElementById(id);
    if (!selection.isCollapsed && section.contains(selection.anchorNode)) continue; // somebody copies from it
    section.outerHTML = html;
    changed.delete(id);
  }
}

function listen() {
  stream = new EventSource('live');
  stream.onmessage = (event) => {
    const now = JSON.parse(event.data);
    if (now.files !== root.dataset.files) return void setTimeout(() => location.reload(), 5000);
    heard = Date.now();
    for (const [id, html] of Object.entries(now.sections)) changed.set(id, html);
    show();
    document.title = now.title;
    document.getElementById('silent').hidden = true;
    if (root.className !== now.tone) icon(root.className = now.tone);
  };
}

setInterval(() => {
  if (stream.readyState === EventSource.CLOSED) listen();
  if (Date.now() - heard < 9000 || root.className === 'silent') return;
  const silent = document.getElementById('silent');
  silent.textContent = `Not live since ${new Date(heard).toISOString().slice(11, 19)} UTC: the worker no longer answers this page. Below is what it said last; look whether it runs.`;
  silent.hidden = false;
  document.title = `Not live · logoff-worker`;
  icon(root.className = 'silent');
}, 1000);
listen();
