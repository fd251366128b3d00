// Keeps the keyboard focus when htmx replaces the element that has it, as a page does that keeps itself up to date. The
// control with the same purpose gets the focus. If there is none any more, what was replaced gets it as a whole: the next
// key must not press another button. htmx itself keeps the focus of elements with an id.

const FOCUSABLE = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]";

let left = null;

// What makes a control the same one after a swap. Texts change with numbers and states, so they do not count.
function identity(element) {
  const attributes = ["name", "type", "value", "href", "formaction", "data-copy", "aria-label"];
  const values = attributes.map((name) => element.getAttribute(name));
  return [element.tagName, ...values, element.form?.action, element.closest("details")?.id].join("\n");
}

const alike = (root, wanted) => [...root.querySelectorAll(FOCUSABLE)].filter((each) => identity(each) === wanted);

function remember({ detail }) {
  const root = detail.target;
  const focused = document.activeElement;
  if (!detail.shouldSwap || !root.id || !root.contains(focused) || focused === root) return;
  const wanted = identity(focused);
  left = { root: root.id, wanted, order: alike(root, wanted).indexOf(focused) };
}

function restore() {
  const root = left && document.getElementById(left.root);
  const isLost = !document.activeElement || document.activeElement === document.body;
  if (!root || !isLost) return;
  const target = alike(root, left.wanted)[left.order] ?? root;
  if (target === root) root.tabIndex = -1;
  target.focus({ preventScroll: true });
  left = null;
}

// A response can replace elements elsewhere in the page ("out of band") before its own target.
document.addEventListener("htmx:beforeSwap", remember);
document.addEventListener("htmx:oobBeforeSwap", remember);
document.addEventListener("htmx:oobAfterSwap", restore);
document.addEventListener("htmx:afterSwap", () => {
  restore();
  left = null;
});
