// Runs before the page's own scripts: notes what a test wants to know and a page has no place for.
import { LogLines } from "/static/js/log_lines.js";

window.probe = { seqs: [], texts: [], frames: 0 };

const append = LogLines.prototype.append;
LogLines.prototype.append = function (message) {
  const whole = append.call(this, message);
  // All that came, not what was new in it: the server, told the right place, never sends a thing twice.
  for (const frame of whole ? message.events : []) {
    window.probe.seqs.push(frame.seq);
    window.probe.texts.push(frame.text);
  }
  return whole;
};

function tick() {
  window.probe.frames += 1;
  requestAnimationFrame(tick);
}
tick();
