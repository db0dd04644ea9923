/* The job page: state, lanes and progress from the socket, which also feeds the log window. The page's one entry:
 *   <script type="module" src="job.js"></script>
 *
 *   <div data-job data-uuid="…" data-socket-url="/ws/jobs/…/">       without data-socket-url the job has ended: only the log
 *                                            window starts, and the page is loaded again when the job begins again
 *     <span class="st run" data-job-state><i class="bi bi-arrow-repeat"></i><span>running</span></span>
 *     <b data-job-count>11 of 17 steps</b> <progress class="prog" data-job-progress value="11" max="17"></progress>
 *     <span class="sub" data-job-eta data-usual="usually 12 s">about 8 s left</span>     data-usual: said while nothing better is known
 *     <span data-job-worker>, worker vm:4711</span>
 *     <form data-job-cancel …>…</form>                                       hidden when it cannot be cancelled
 *     <div data-job-refresh data-job-shown="running, 17 steps" hx-get="…" hx-trigger="live" hx-sync="this:queue last">…</div>
 *                                            read again whenever what it was made for is not what the socket tells
 *     <div class="lane" data-lane="kvm-08">
 *       <div class="h"><i class="bi bi-server"></i> kvm-08 <span class="st run" data-lane-state>…as above…</span></div>
 *       <button type="button" class="step" data-log-step="3"><i class="bi bi-circle ic-idle"></i><span class="w">…</span><span class="x"></span></button>
 *     </div>
 *     <section data-log …> with <span class="conn" data-log-state role="status"></span>: see log.js
 *   </div>
 *
 * Messages: {"type": "events", "events": [frames]} and {"type": "job", "state", "state_label", "state_tone", "icon", "steps",
 * "steps_done", "bytes_done", "bytes_total", "eta": seconds or null, "flushing", "silent": [hosts that do not answer], "ended", "worker",
 * "can_cancel", "lanes": [{"host", "state", "tone", "icon"}], "changed": [{"index", "state", "tone", "icon", "seconds"}],
 * "shown": what a refreshed part would be made for}; a field that is missing leaves its place as it is.
 */
import { LogWindow } from "./log.js";
import { Socket } from "./socket.js";

const TONES = ["ok", "warn", "bad", "run", "idle"];
const ENDED = new Set(["succeeded", "failed", "errored", "cancelled"]);
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

const tone = (name) => (TONES.includes(name) ? name : "idle");

function bytes(value, unit) {
  const size = value / 1024 ** unit;
  return size >= 100 || unit === 0 ? size.toFixed(0) : size.toFixed(1);
}

/** "61.0 of 117 GiB" */
function share(done, total) {
  const unit = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(total, 1)) / 10));
  return `${bytes(done, unit)} of ${bytes(total, unit)} ${UNITS[unit]}`;
}

function left(seconds) {
  if (seconds < 90) return `about ${Math.max(1, Math.round(seconds))} s left`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min left`;
  return `about ${(seconds / 3600).toFixed(1)} h left`;
}

function took(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 90 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} min`;
}

class JobPage {
  #root;
  #log;
  #state = "";
  #asked = new WeakMap();

  constructor(root) {
    this.#root = root;
    this.#log = new LogWindow(root.querySelector("[data-log]"));
    if (!root.dataset.socketUrl) {
      document.addEventListener("job", ({ detail }) => this.#begunAgain(detail));
      return;
    }
    this.socket = new Socket(root.dataset.socketUrl, {
      state: root.querySelector("[data-log-state]"),
      after: () => this.#log.lines.lastSeq,
      finished: () => ENDED.has(this.#state),
      onMessage: (message) => this.#take(message),
    });
  }

  #take(message) {
    if (message.type === "events" && !this.#log.append(message)) this.socket.restart();
    if (message.type === "job") this.#job(message);
  }

  /** Somebody takes a job that has ended back, or asks for that, or tries it again: the page is another one then. */
  #begunAgain(job) {
    const { uuid, undoAsked } = this.#root.dataset;
    const shown = this.#part("state")?.textContent.trim();
    const isOther = job.state !== shown || job.undo_asked !== undoAsked;
    if (job.uuid === uuid && !job.replay && isOther) location.reload();
  }

  #part(name) {
    return this.#root.querySelector(`[data-job-${name}]`);
  }

  #job(message) {
    this.#badge(this.#part("state"), message.state_label, message.state_tone, message.icon);
    this.#progress(message);
    const worker = this.#part("worker"); // another one may have taken it over
    if (worker && message.worker !== undefined) worker.textContent = message.worker ? `, worker ${message.worker}` : "";
    const cancel = this.#part("cancel");
    if (cancel && message.can_cancel !== undefined) cancel.hidden = !message.can_cancel;
    for (const lane of message.lanes ?? []) {
      const badge = this.#root.querySelector(`[data-lane="${CSS.escape(lane.host)}"] [data-lane-state]`);
      this.#badge(badge, lane.state, lane.tone, lane.icon);
    }
    for (const step of message.changed ?? []) this.#step(step);
    if (message.state && message.state !== this.#state) this.#moved(message.state);
    if (message.shown) this.#refresh(message.shown);
  }

  #moved(state) {
    this.#state = state;
    if (ENDED.has(state)) this.#log.ended();
  }

  /** Every message asks anew, so a part that could not be read is right after the next heartbeat. */
  #refresh(shown) {
    for (const part of this.#root.querySelectorAll("[data-job-refresh]")) {
      const underWay = part.classList.contains("htmx-request") && this.#asked.get(part) === shown;
      if (part.dataset.jobShown === shown || underWay) continue;
      this.#asked.set(part, shown);
      window.htmx?.trigger(part, "live");
    }
  }

  #badge(badge, words, kind, icon) {
    if (!badge || words === undefined) return;
    badge.className = `st ${tone(kind)}`;
    badge.querySelector(".bi").className = `bi bi-${icon}`;
    badge.querySelector("span").textContent = words;
  }

  #progress({ steps, steps_done: stepsDone, bytes_done: done, bytes_total: total, eta, flushing, silent = [], ended, state_tone: kind }) {
    const bar = this.#part("progress");
    if (steps === undefined || !bar) return;
    const inBytes = total > 0 && done < total;
    bar.max = inBytes ? total : Math.max(1, steps);
    bar.value = inBytes ? done : stepsDone;
    bar.className = `prog ${tone(kind)}`;
    const words = `${stepsDone} of ${steps} steps`;
    this.#part("count").textContent = inBytes ? `${words}, ${share(done, total)}` : words;
    const place = this.#part("eta");
    const usual = ended ? "" : (place.dataset.usual ?? "");
    const away = silent.length ? `${silent.join(", ")}: no answer` : "";
    place.textContent = away || (flushing ? "flushing to disk" : typeof eta === "number" ? left(eta) : usual);
  }

  #step({ index, tone: kind, icon, seconds, state }) {
    const step = this.#root.querySelector(`[data-log-step="${Number(index)}"]`);
    if (!step) return;
    step.classList.toggle("on", kind === "run");
    step.classList.toggle("idle", kind === "idle");
    step.querySelector(".bi").className = `bi bi-${icon} ic-${tone(kind)}`;
    step.title = state;
    step.querySelector(".x").textContent = took(seconds);
  }
}

const root = document.querySelector("[data-job]");
if (root) new JobPage(root);
