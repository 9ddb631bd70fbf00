"use strict";
// Pages work without this: it tells the viewer's time zone and keeps live parts fresh.

(function tellZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const wanted = "taiga-billing-zone=" + encodeURIComponent(zone || "UTC");
  if (!zone || document.cookie.split("; ").includes(wanted)) return;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = wanted + "; Path=/; Max-Age=31536000; SameSite=Lax" + secure;
  const isKept = document.cookie.split("; ").includes(wanted);
  if (isKept && document.querySelector("main time")) location.reload();
})();

(function showWhereWeAre() {
  // On a phone the row of pages is wider than the screen. (scrollIntoView would move the start of the Tab key.)
  const here = document.querySelector(".nav [aria-current]");
  const row = here && here.closest(".nav");
  if (row) row.scrollLeft += here.getBoundingClientRect().right - row.getBoundingClientRect().right + row.clientWidth / 3;
})();

(function warnWithoutTls() {
  const note = document.getElementById("needs-tls");
  if (note && !window.isSecureContext) note.hidden = false;
})();

(function keepFresh() {
  const live = document.getElementById("live");
  if (!live || !live.dataset.live) return;
  async function refresh() {
    // Nothing moves under the hands of somebody who types or tabs there.
    if (document.visibilityState === "visible" && !live.contains(document.activeElement)) {
      try {
        const answer = await fetch(location.href);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = answer.ok && !answer.redirected && page.getElementById("live");
        if (fresh) {
          live.replaceChildren(...fresh.childNodes);
          if (!fresh.dataset.live) return;
        }
      } catch (_) {
        // The receiver restarts: the next round asks again.
      }
    }
    setTimeout(refresh, Number(live.dataset.live) * 1000);
  }
  setTimeout(refresh, Number(live.dataset.live) * 1000);
})();

(function lookLater() {
  // What takes a moment comes after the page; without script there is a link to it.
  const place = document.querySelector("[data-later]");
  const link = place && place.querySelector(".later");
  if (!link) return;
  const kept = [...link.childNodes];
  link.replaceChildren(place.dataset.told);
  fetch(place.dataset.later)
    .then(async (answer) => {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = answer.ok && !answer.redirected && page.getElementById("later");
      if (!fresh) throw new Error(String(answer.status));
      place.replaceChildren(...fresh.childNodes);
    })
    .catch(() => link.replaceChildren(...kept));
})();

(function letCopy() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    const field = document.getElementById(button.dataset.copy);
    button.hidden = false;
    button.addEventListener("click", async () => {
      field.select();
      try {
        await navigator.clipboard.writeText(field.value);
        button.textContent = "Copied";
      } catch (_) {
        // Without TLS browsers forbid it: the text is selected, the keyboard copies it.
        button.textContent = "Press Ctrl+C";
      }
    });
  }
})();
