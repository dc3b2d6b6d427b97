/* <rt-queue>: renders that run, wait or ended. <rt-takes>: finished videos, two side by side, with their check. */
"use strict";
(() => {
  const { word, el, follow, clock, onlyOne } = window.roundtable;
  const RUNNING = ["running", "paused", "stopping"];

  class Queue extends HTMLElement {
    connectedCallback() {
      if (this.list) return;
      this.list = el("div", { class: "rt-jobs", role: "list", "aria-label": word("queue") });
      this.hold = el("button", { type: "button", class: "rt-quiet-button", onclick: () => this.act({ do: "hold_queue", on: !this.state.held }) });
      this.bar = el("div", { class: "rt-queue-bar" }, el("h3", { class: "rt-sub" }, word("queue")), this.hold);
      this.append(this.bar, this.list);
      if (this.waiting) this.take(this.waiting);
    }

    take(state) {
      if (!this.list) { this.waiting = state; return; }
      this.state = state;
      this.bar.hidden = !state.jobs.length;
      this.hold.textContent = word(state.held ? "queue_go" : "queue_hold");
      this.hold.hidden = !state.held && !state.jobs.some((job) => job.status === "waiting");
      follow(this.list, state.jobs, (job) => this.make(job), (node, job) => this.update(node, job));
    }

    make(job) {
      const button = (name, extra = {}) => el("button", { type: "button", class: "rt-quiet-button", "data-do": name, onclick: () => this.act({ do: name, job_id: job.id, ...extra }) }, word(name));
      return el("div", { class: "rt-job", role: "listitem", "data-job": job.id },
        el("div", { class: "rt-job-picture" }, el("img", { alt: word("live_frame") }), el("video", { muted: true, autoplay: true, loop: true, playsinline: true, controls: true })),
        el("div", { class: "rt-job-body" },
          el("p", { class: "rt-job-title" }), el("p", { class: "rt-job-text", role: "status" }), el("progress"),
          el("p", { class: "rt-note" }),
          el("div", { class: "rt-job-buttons" }, button("pause_job"), button("resume_job"), button("keep_job"), button("cancel_job"),
            button("earlier_job"), button("later_job"), button("duplicate_job"), button("remove_job"))));
    }

    update(node, job) {
      node.className = `rt-job rt-${job.status}`;
      node.querySelector(".rt-job-title").textContent = job.title;
      node.querySelector(".rt-job-text").textContent = job.text;
      const note = node.querySelector(".rt-note");
      note.textContent = job.message;
      note.hidden = !job.message;
      const bar = node.querySelector("progress"), running = RUNNING.includes(job.status);
      bar.hidden = !running;
      if (job.total) { bar.max = job.total; bar.value = job.done; } else bar.removeAttribute("value");
      bar.setAttribute("aria-label", job.text);
      const image = node.querySelector("img"), video = node.querySelector("video");
      image.hidden = !(running && job.frame) || Boolean(job.growing);
      if (job.frame && image.getAttribute("src") !== job.frame) image.src = job.frame;
      video.hidden = !(running && job.growing);
      if (!running || !job.growing) video.removeAttribute("src");
      else if (video.dataset.src !== job.growing) { video.dataset.src = job.growing; video.src = job.growing; }
      node.querySelector(".rt-job-picture").hidden = image.hidden && video.hidden;
      for (const button of node.querySelectorAll("[data-do]")) button.hidden = !job.can.includes(button.dataset.do);
    }
  }

  class Takes extends HTMLElement {
    connectedCallback() {
      if (this.list) return;
      this.shown = "";
      this.beside = "";
      this.players = el("div", { class: "rt-players" });
      this.check = el("div", { class: "rt-check" });
      this.list = el("div", { class: "rt-take-list", role: "radiogroup", "aria-label": word("takes") });
      this.empty = el("p", { class: "rt-hint" }, word("no_take"));
      this.body = el("div", { class: "rt-takes-body" }, el("div", { class: "rt-take-main" }, this.players, this.check), this.list);
      this.append(this.empty, this.body);
      if (this.waiting) this.take(this.waiting);
    }

    take(state) {
      if (!this.list) { this.waiting = state; return; }
      const newest = state.takes[0]?.id || "", other = this.state?.project !== state.project;
      const come = this.state && !other && newest && newest !== (this.state.takes[0]?.id || "");
      this.state = state;
      const there = new Set(state.takes.map((item) => item.id));
      if (!there.has(this.shown) || come || other) this.shown = newest;
      if (!there.has(this.beside) || this.beside === this.shown) this.beside = "";
      this.empty.hidden = state.takes.length > 0;
      this.body.hidden = !state.takes.length;
      follow(this.list, state.takes, (item) => this.makeItem(item), (node, item) => this.updateItem(node, item));
      this.showPlayers();
      if (this.shown && this.told !== this.shown) { this.told = this.shown; this.act({ do: "watch_take", take_id: this.shown }); }
    }

    item(id) { return this.state.takes.find((item) => item.id === id); }

    choose(id) {
      this.shown = id;
      if (this.beside === id) this.beside = "";
      this.told = id;
      this.act({ do: "watch_take", take_id: id });
      this.take(this.state);
    }

    makeItem(item) {
      const id = item.id;
      const button = (name, work) => el("button", { type: "button", class: "rt-quiet-button", "data-do": name, onclick: (event) => { event.stopPropagation(); work(event.currentTarget); } }, word(name));
      return el("div", { class: "rt-take", "data-take": id },
        el("button", { type: "button", role: "radio", class: "rt-take-title", onclick: () => this.choose(id) }, el("b"), el("span")),
        el("p", { class: "rt-note" }),
        el("div", { class: "rt-job-buttons" },
          button("compare", () => { this.beside = this.beside === id ? "" : id; this.take(this.state); }),
          button("load_take", () => this.act({ do: "load_take", take_id: id })),
          button("delete_take", (node) => this.sure(node, () => this.act({ do: "delete_take", take_id: id })))));
    }

    /** A second click within a few seconds means it. */
    sure(button, work) {
      if (button.dataset.asked) { work(); return; }
      button.dataset.asked = "1";
      button.textContent = word("delete_sure");
      setTimeout(() => { delete button.dataset.asked; button.textContent = word("delete_take"); }, 4000);
    }

    updateItem(node, item) {
      const on = item.id === this.shown;
      node.classList.toggle("rt-selected", on);
      const title = node.querySelector("[role=radio]");
      title.setAttribute("aria-checked", on);
      title.querySelector("b").textContent = item.title;
      const mark = title.querySelector("span");
      mark.className = `rt-verdict rt-${item.verdict || "unknown"}`;
      mark.hidden = !item.verdict;
      mark.title = item.sentence || "";
      node.querySelector(".rt-note").textContent = item.details;
      const compare = node.querySelector("[data-do=compare]");
      compare.hidden = on || !item.video;
      compare.setAttribute("aria-pressed", item.id === this.beside);
      compare.classList.toggle("rt-on", item.id === this.beside);
    }

    showPlayers() {
      const ids = [this.shown, this.beside].filter((id) => id && this.item(id)?.video);
      follow(this.players, ids.map((id) => this.item(id)), (item) => this.makePlayer(item), (node, item) => {
        const video = node.querySelector("video");
        if (video.dataset.src !== item.video) { video.dataset.src = item.video; video.src = `${item.video}#t=0.01`; }
        node.querySelector("figcaption").textContent = ids.length > 1 ? item.title : "";
      });
      this.players.classList.toggle("rt-two", ids.length > 1);
      const [first, second] = [...this.players.children].map((node) => node.querySelector("video"));
      if (first) { first.controls = true; first.muted = false; }
      if (second) { second.controls = false; second.muted = true; this.together(first, second); }
      this.showCheck(this.item(this.shown));
    }

    makePlayer(item) {
      const video = el("video", { playsinline: true, preload: "metadata", "aria-label": item.title });
      if (item.captions) video.append(el("track", { kind: "captions", srclang: "en", label: word("captions"), src: item.captions }));
      onlyOne(video);
      return el("figure", { class: "rt-player" }, video, el("figcaption"));
    }

    /** One playhead: the second picture follows the first. */
    together(first, second) {
      if (first.rtFollower === second) return;
      first.rtFollower = second;
      const follow = () => {
        const other = first.rtFollower;
        if (!other?.isConnected) return;
        if (Math.abs(other.currentTime - first.currentTime) > 0.08) other.currentTime = first.currentTime;
        if (first.paused !== other.paused) { if (first.paused) other.pause(); else other.play().catch(() => {}); }
      };
      for (const name of ["play", "pause", "seeked", "timeupdate"]) first.addEventListener(name, follow);
      follow();
    }

    showCheck(item) {
      if (!item) { this.check.replaceChildren(); return; }
      const wanted = JSON.stringify([item.id, item.sentence, item.people, item.turns]);
      if (this.check.dataset.shown === wanted) return;
      this.check.dataset.shown = wanted;
      const links = el("p", { class: "rt-links" }, ...[["download_video", item.download], ["download_captions", item.srt], ["report", item.report]]
        .filter(([, url]) => url).map(([name, url]) => el("a", { href: url, ...(name === "report" ? { target: "_blank", rel: "noopener" } : { download: "" }) }, word(name))));
      const rows = item.people.map((person) => this.personRow(item, person));
      const wrong = item.turns.filter((turn) => turn.verdict === "redo" || turn.verdict === "look").map((turn) => this.turnRow(item, turn));
      this.check.replaceChildren(links,
        item.sentence ? el("p", { class: "rt-check-sentence" }, el("span", { class: `rt-verdict rt-${item.verdict}` }), item.sentence) : el("p", { class: "rt-hint" }, word("not_checked")),
        ...rows, ...(wrong.length ? [el("div", { class: "rt-wrong" }, ...wrong)] : []));
    }

    personRow(item, person) {
      const marks = item.turns.filter((turn) => turn.face_id === person.face_id).map((turn) => el("button", {
        type: "button", class: `rt-mark-turn rt-${turn.verdict}`, title: turn.sentence, "aria-label": `${person.name}, ${clock(turn.start)}: ${turn.sentence}`,
        style: { left: `${(100 * turn.start) / item.length}%`, width: `${(100 * (turn.end - turn.start)) / item.length}%` },
        onclick: () => this.jump(turn.start),
      }));
      return el("div", { class: "rt-check-row", style: { "--c": person.colour } },
        el("span", { class: "rt-check-name" }, el("span", { class: `rt-verdict rt-${person.verdict}` }), person.name), el("div", { class: "rt-check-turns" }, ...marks),
        el("span", { class: "rt-note" }, person.sentence));
    }

    turnRow(item, turn) {
      return el("div", { class: "rt-wrong-turn" },
        el("button", { type: "button", class: "rt-quiet-button", onclick: () => this.jump(turn.start) }, clock(turn.start)),
        el("span", {}, `${turn.name}: ${turn.sentence}`),
        item.can_redo ? el("button", { type: "button", class: "rt-quiet-button rt-redo", onclick: () => this.act({ do: "redo_turn", take_id: item.id, turn_id: turn.id }) }, word("redo_turn")) : "");
    }

    jump(time) {
      const video = this.players.querySelector("video");
      if (video) { video.currentTime = Math.max(0, time - 0.3); video.play().catch(() => {}); }
    }
  }

  customElements.define("rt-queue", Queue);
  customElements.define("rt-takes", Takes);
})();
