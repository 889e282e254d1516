// Keeps the inbox current: asks every second what is newest, only while somebody looks, and puts in what arrived.
const lamp = document.getElementById("lamp");

async function look() {
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch("/inbox/state");
      if (answer.status === 401) return location.reload();
      show(answer.ok);
      if (answer.ok && String((await answer.json()).newest) !== arrivals().dataset.newest) await refresh();
    } catch {
      show(false); // the console is restarting; ask again
    }
  }
  setTimeout(look, 1000);
}

async function refresh() {
  const answer = await fetch("/inbox");
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("arrivals");
  const old = arrivals();
  for (const row of fresh.querySelectorAll("[data-id]")) {
    if (Number(row.dataset.id) > Number(old.dataset.newest)) row.classList.add("new");
  }
  const at = document.activeElement?.closest("[data-id]")?.dataset.id;
  old.replaceWith(fresh);
  if (at) fresh.querySelector(`[data-id="${at}"] a`)?.focus({ preventScroll: true });
}

function arrivals() {
  return document.getElementById("arrivals");
}

function show(isLive) {
  lamp.textContent = isLive ? "live" : "the console does not answer";
  lamp.classList.toggle("off", !isLive);
}

look();
