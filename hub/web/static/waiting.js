// "Waiting for the first webhook": the lamp lights up when it arrives.

const EVERY = 1500;

export function waitForWebhook(place) {
  if (!place) return;
  async function look() {
    try {
      const answer = await fetch(place.dataset.waiting, { headers: { accept: "application/json" } });
      const { is_seen: isSeen } = await answer.json();
      if (isSeen) {
        location.reload();
        return;
      }
    } catch {
      // the hub may be restarting: ask again
    }
    setTimeout(look, EVERY);
  }
  look();
}
