// Light or dark: the stored choice, else what the system prefers. Loaded before the first paint, so nothing flashes.
(() => {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // Storage is refused: the system's preference it is.
    }
  };
  const show = () => root.setAttribute("data-bs-theme", stored() || (dark.matches ? "dark" : "light"));
  show();
  dark.addEventListener("change", show);
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    const theme = root.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // Not remembered, but shown.
    }
    root.setAttribute("data-bs-theme", theme);
  });
})();
