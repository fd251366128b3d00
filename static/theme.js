// Light or dark: the stored choice, otherwise the system's preference. Loaded before the first paint to avoid a flash.
(() => {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // The browser refuses storage: use the system's preference.
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
      // The theme is shown but not stored.
    }
    root.setAttribute("data-bs-theme", theme);
  });
})();
