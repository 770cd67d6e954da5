// What all pages share: the line that says how things are, and the end of it all.

// state: starting, connected, waiting, refused
export function say(state, words) {
  const line = document.getElementById('status');
  line.dataset.state = state;
  line.textContent = words;
}

let endChat = async () => {};

// Whoever has a chat in the page says how it is ended.
export function atLogout(end) {
  endChat = end;
}

async function endHere() {
  const aMoment = new Promise((resolve) => setTimeout(resolve, 1500));
  await Promise.race([endChat(), aMoment]).catch(() => {});
  sessionStorage.clear(); // a session that a page before this one has left there
}

// Who logs out of the site logs out of the chat first, in all tabs.
const tabs = new BroadcastChannel('logout');
tabs.addEventListener('message', endHere);
const form = document.getElementById('logout');
form?.addEventListener('submit', async (event) => {
  event.preventDefault();
  tabs.postMessage('');
  await endHere();
  form.submit();
});
