import { trouble } from "./dom.js";
import { startRacing } from "./race.js";
import { startSending } from "./send.js";
import { startShadowing } from "./shadow.js";
import { startWatching } from "./live.js";

try {
  const answer = await fetch("setting");
  if (!answer.ok) throw new Error(`The console answered ${answer.status}.`);
  const setting = await answer.json();
  startSending(setting);
  startRacing(setting);
  startWatching();
  startShadowing(setting);
} catch (error) {
  trouble(`The console does not answer: ${error.message}`);
}
