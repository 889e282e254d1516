// Reloads the inbox when something arrived, at most every two seconds and only while the page is looked at.
const mails = document.getElementById("mails");
async function look() {
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch("/inbox/state");
      if (answer.ok && String((await answer.json()).newest) !== mails.dataset.newest) location.reload();
    } catch { /* the console is restarting; ask again */ }
  }
  setTimeout(look, 2000);
}
if (mails) look();
