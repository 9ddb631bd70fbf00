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

(function warnWithoutTls() {
  const note = document.getElementById("needs-tls");
  if (note && !window.isSecureContext) note.hidden = false;
})();

(function keepFresh() {
  const live = document.querySelector("[data-live]");
  if (!live) return;
  const seconds = Number(live.dataset.live);
  async function refresh() {
    if (document.visibilityState === "visible" && !live.contains(document.activeElement)) {
      try {
        const answer = await fetch(location.href, { headers: { "X-Live": "1" } });
        if (answer.ok && !answer.redirected) {
          const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
          if (!fresh) return;
          live.replaceChildren(...fresh.childNodes);
        }
      } catch (_) {
        // The receiver restarts: the next round asks again.
      }
    }
    setTimeout(refresh, seconds * 1000);
  }
  setTimeout(refresh, seconds * 1000);
})();
