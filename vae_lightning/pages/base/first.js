// Before the first paint: the language and theme chosen last, else those of the browser and the system.
(() => {
  const kept = (key) => {
    try {
      return localStorage.getItem(`vae_lightning.${key}`);
    } catch {
      return null;
    }
  };
  const root = document.documentElement;
  const language = kept("lang") || ((navigator.language || "en").startsWith("ja") ? "ja" : "en");
  root.dataset.lang = root.lang = language === "ja" ? "ja" : "en";
  const theme = kept("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
})();
