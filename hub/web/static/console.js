// The console's few habits: choices that submit themselves, the live journal, keys, copying. No framework.

import { followJournal } from "./journal.js";
import { waitForWebhook } from "./waiting.js";

for (const choice of document.querySelectorAll("select[data-submit]")) {
  choice.addEventListener("change", () => choice.form.requestSubmit());
  // somebody may have chosen while this script was on its way; what a browser restores is no choice (autocomplete=off)
  const [first] = choice.options;
  const sent = [...choice.options].find((option) => option.defaultSelected) ?? first;
  if (sent && choice.value !== sent.value) choice.form.requestSubmit();
}

for (const choice of document.querySelectorAll("select[data-go]")) {
  choice.addEventListener("change", () => location.assign(choice.value));
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (button) {
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // no permission, or plain http: the text is selected instead
      const range = document.createRange();
      range.selectNodeContents(document.getElementById(button.dataset.copy));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      return;
    }
    const before = button.textContent;
    button.textContent = document.body.dataset.copied;
    setTimeout(() => { button.textContent = before; }, 1500);
    return;
  }
  const row = event.target.closest("tr[data-href]");
  if (row && !event.target.closest("a, button, select, input") && !String(getSelection())) {
    location.assign(row.dataset.href);
  }
});

// on a narrow screen the rows of pages and of set-up steps scroll: the one that is open is in sight
for (const open of document.querySelectorAll('.nav [aria-current="page"], .stages [aria-current="step"]')) {
  open.scrollIntoView({ block: "nearest", inline: "center" });
}

followJournal(document.getElementById("rows"));
waitForWebhook(document.querySelector("[data-waiting]"));
