/* <rt-timeline>: the recording's waveform and a lane per voice. Play, split, merge, trim, move, delete, add. */
"use strict";
(() => {
  const { word, el, follow, options, clock, onlyOne, isTyping, clamp } = window.roundtable;
  const SHORTEST_S = 0.1, STEP_S = 0.1, EDGE_PX = 7, LABEL_PX = 112, MOST_PX = 30_000;

  class Timeline extends HTMLElement {
    connectedCallback() {
      if (this.lanes) return;
      this.chosen = new Set();
      this.zoom = 1;
      this.audio = el("audio", { preload: "metadata" });
      onlyOne(this.audio);
      for (const name of ["play", "pause", "ended", "seeked"]) this.audio.addEventListener(name, () => this.tick());
      this.buildTools();
      this.canvas = el("canvas", { class: "rt-wave", "aria-hidden": "true" });
      this.range = el("div", { class: "rt-range", title: word("range_hint") },
        el("i", { class: "rt-range-edge", "data-edge": "start" }), el("span", {}, word("range")), el("i", { class: "rt-range-edge", "data-edge": "end" }));
      this.range.addEventListener("pointerdown", (event) => this.dragRange(event));
      this.ruler = el("div", { class: "rt-ruler", onpointerdown: (event) => this.scrub(event) }, this.canvas, this.range);
      this.lanes = el("div", { class: "rt-lanes" });
      this.head = el("div", { class: "rt-head", "aria-hidden": "true" });
      this.wide = el("div", { class: "rt-wide-part" }, this.ruler, this.lanes, this.head);
      this.view = el("div", { class: "rt-view", onscroll: () => this.drawWave() }, this.wide);
      this.view.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
      this.body = el("section", { class: "rt-time", "aria-label": word("timeline") }, this.tools, this.view, this.audio);
      this.append(this.body);
      this.body.hidden = true;
      new ResizeObserver(() => { this.layout(); }).observe(this.view);
      addEventListener("pointerdown", () => { this.byPointer = true; }, true);
      addEventListener("keydown", (event) => { if (event.key === "Tab") this.byPointer = false; }, true);
      document.addEventListener("keydown", (event) => this.key(event));
      if (this.waiting) this.take(this.waiting);
    }

    buildTools() {
      const button = (name, work, extra = {}) => el("button", { type: "button", class: "rt-tool", title: word(`${name}_hint`), onclick: work, ...extra }, word(name));
      this.playButton = button("play", () => this.playOrPause(), { class: "rt-tool rt-main-tool" });
      this.time = el("output", { class: "rt-clock" });
      this.edits = {
        play_turn: button("play_turn", () => this.playTurn()),
        split: button("split", () => this.split()),
        merge: button("merge_turns", () => this.merge()),
        remove: button("delete_turn", () => this.remove()),
      };
      this.mover = el("select", { class: "rt-tool", "aria-label": word("move_turn"), onchange: (event) => { const to = event.target.value; event.target.value = ""; if (to) this.moveTo(to); } });
      this.adder = button("add_turn", () => this.add());
      this.text = el("input", { type: "text", class: "rt-name rt-says", maxlength: 500, placeholder: word("says_empty"), "aria-label": word("says"), onchange: (event) => this.say(event.target.value), onkeydown: (event) => { event.stopPropagation(); if (event.key === "Enter") event.target.blur(); } });
      this.tools = el("div", { class: "rt-tools", role: "toolbar", "aria-label": word("timeline") },
        this.playButton, this.time, el("span", { class: "rt-gap" }), ...Object.values(this.edits), this.mover, this.adder, this.text,
        el("span", { class: "rt-gap" }), button("zoom_out", () => this.setZoom(this.zoom / 1.6), { "aria-label": word("zoom_out_hint") }), button("zoom_in", () => this.setZoom(this.zoom * 1.6), { "aria-label": word("zoom_in_hint") }));
    }

    take(state) {
      if (!this.lanes) { this.waiting = state; return; }
      const other = this.state?.project !== state.project || this.state?.sound !== state.sound;
      this.state = state;
      this.body.hidden = !state.length || !state.voices.length;
      if (this.body.hidden) { this.audio.pause(); return; }
      if (other) {
        this.chosen.clear();
        this.zoom = 1;
        if (state.sound) this.audio.src = state.sound; else this.audio.removeAttribute("src");
        this.peaks = null;
        if (state.peaks) fetch(state.peaks).then((reply) => reply.json()).then((peaks) => { this.peaks = peaks; this.drawWave(); }, () => {});
      }
      const there = new Set(state.turns.map((turn) => turn.id));
      this.chosen.forEach((id) => { if (!there.has(id)) this.chosen.delete(id); });
      follow(this.lanes, state.voices, (voice) => this.makeLane(voice), (node, voice) => this.updateLane(node, voice));
      options(this.mover, [["", word("move_turn")], ...state.voices.map((voice) => [voice.id, `${voice.number}  ${voice.name}`])], "");
      this.placeRange(state.preview);
      this.layout();
      this.mark();
    }

    /* ---- places ---- */
    get pixels() { return Math.max(1, this.wide.clientWidth - LABEL_PX); }
    left(s) { return `calc(${LABEL_PX}px + (100% - ${LABEL_PX}px) * ${s / this.state.length})`; }
    width(s) { return `calc((100% - ${LABEL_PX}px) * ${s / this.state.length})`; }
    seconds(event) {
      const area = this.wide.getBoundingClientRect();
      return clamp((event.clientX - area.left - LABEL_PX) / this.pixels, 0, 1) * this.state.length;
    }

    layout() {
      if (!this.state?.length || this.body.hidden) return;
      const most = Math.max(1, MOST_PX / Math.max(1, this.view.clientWidth));
      this.zoom = clamp(this.zoom, 1, most);
      this.wide.style.width = `${100 * this.zoom}%`;
      this.drawWave();
      this.tick();
    }

    setZoom(zoom, at = null) {
      const middle = at ?? this.audio.currentTime;
      const before = LABEL_PX + (this.pixels * middle) / this.state.length - this.view.scrollLeft;
      this.zoom = zoom;
      this.layout();
      this.view.scrollLeft = LABEL_PX + (this.pixels * middle) / this.state.length - before;
    }

    wheel(event) {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.setZoom(this.zoom * Math.exp(-event.deltaY / 300), this.seconds(event));
    }

    drawWave() {
      const canvas = this.canvas, shown = this.view.clientWidth, ratio = devicePixelRatio || 1;
      if (!shown) return;
      canvas.style.left = `${this.view.scrollLeft}px`;
      canvas.style.width = `${shown}px`;
      const height = canvas.clientHeight || 40;
      canvas.width = Math.round(shown * ratio);
      canvas.height = Math.round(height * ratio);
      const pen = canvas.getContext("2d");
      pen.scale(ratio, ratio);
      pen.fillStyle = getComputedStyle(this).getPropertyValue("--rt-wave") || "#999";
      const from = this.view.scrollLeft - LABEL_PX;
      if (this.peaks) {
        for (let x = Math.max(0, -from); x < shown; x += 2) {
          const a = ((x + from) / this.pixels) * this.peaks.length, b = ((x + 2 + from) / this.pixels) * this.peaks.length;
          let peak = 0;
          for (let i = Math.floor(a); i < Math.max(b, Math.floor(a) + 1) && i < this.peaks.length; i++) peak = Math.max(peak, this.peaks[i]);
          const tall = Math.max(1, (peak / 255) * (height - 14));
          pen.fillRect(x, 12 + (height - 12 - tall) / 2, 1.4, tall);
        }
      }
      this.drawTicks(pen, shown, from);
    }

    drawTicks(pen, shown, from) {
      const perSecond = this.pixels / this.state.length;
      const step = [0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600].find((s) => s * perSecond >= 64) || 1200;
      pen.font = "10px system-ui, sans-serif";
      const first = Math.max(0, Math.ceil(from / perSecond / step));
      for (let i = first; i * step <= this.state.length; i++) {
        const x = i * step * perSecond - from;
        if (x > shown) break;
        pen.fillRect(x, 0, 1, 4);
        pen.fillText(clock(i * step, step < 1 ? 1 : 0), x + 3, 9);
      }
    }

    /* ---- lanes and turns ---- */
    makeLane(voice) {
      return el("div", { class: "rt-lane", "data-voice": voice.id, onpointerdown: (event) => this.startAdding(event, voice.id) },
        el("span", { class: "rt-lane-name" }), el("div", { class: "rt-lane-turns", role: "group" }));
    }

    updateLane(node, voice) {
      node.style.setProperty("--c", voice.colour);
      node.style.setProperty("--ink", voice.ink);
      const name = node.querySelector(".rt-lane-name");
      name.replaceChildren(el("b", {}, voice.number), ` ${voice.name}`);
      name.title = voice.place;
      const area = node.querySelector(".rt-lane-turns");
      area.setAttribute("aria-label", voice.name);
      follow(area, this.state.turns.filter((turn) => turn.speaker === voice.id), (turn) => this.makeTurn(turn), (item, turn) => this.updateTurn(item, turn, voice));
    }

    makeTurn(turn) {
      return el("button", {
        type: "button", class: "rt-turn", "data-turn": turn.id,
        onpointerdown: (event) => this.startTurn(event, turn.id),
        ondblclick: () => this.playTurn(turn.id),
        onclick: (event) => { if (event.detail === 0) this.choose(turn.id, event.shiftKey); },
      });
    }

    updateTurn(node, turn, voice) {
      if (node.dataset.held) return;
      const shown = JSON.stringify([turn, voice.name, this.state.length]);
      if (node.rtShown === shown) return; // hundreds of turns: only what changed is drawn
      node.rtShown = shown;
      node.style.left = this.left(turn.start);
      node.style.width = this.width(turn.end - turn.start);
      const over = turn.over.map(([a, b]) => el("i", { class: "rt-over", style: { left: `${(100 * (a - turn.start)) / (turn.end - turn.start)}%`, width: `${(100 * (b - a)) / (turn.end - turn.start)}%` } }));
      const mark = turn.verdict && turn.verdict !== "good" ? [el("em", { class: `rt-verdict rt-${turn.verdict}`, "aria-hidden": "true" })] : [];
      node.replaceChildren(...over, ...mark, el("span", {}, turn.text || ""));
      node.classList.toggle("rt-edited", turn.edited);
      node.title = turn.text || "";
      node.setAttribute("aria-label", word("turn_label", { voice: voice.name, start: clock(turn.start), end: clock(turn.end) }) + (turn.over.length ? `, ${word("overlapped")}` : ""));
    }

    turn(id) { return this.state.turns.find((turn) => turn.id === id); }
    get only() { return this.chosen.size === 1 ? this.turn([...this.chosen][0]) : null; }

    choose(id, more = false) {
      if (!more) this.chosen.clear();
      if (id) { if (more && this.chosen.has(id)) this.chosen.delete(id); else this.chosen.add(id); }
      this.mark();
    }

    mark() {
      for (const node of this.lanes.querySelectorAll(".rt-turn")) {
        const on = this.chosen.has(node.dataset.turn);
        if (node.rtOn === on) continue;
        node.rtOn = on;
        node.classList.toggle("rt-selected", on);
        node.setAttribute("aria-pressed", on);
      }
      const one = this.only;
      this.edits.play_turn.disabled = !one || !this.state.sound;
      this.edits.split.disabled = !this.splittable();
      this.edits.merge.disabled = this.mergeable().length < 2;
      this.edits.remove.disabled = this.mover.disabled = !this.chosen.size;
      this.text.hidden = !one;
      if (one && this.text !== document.activeElement) this.text.value = one.text || "";
    }

    splittable() {
      const at = this.audio.currentTime;
      const holds = (turn) => turn && turn.start + SHORTEST_S <= at && at <= turn.end - SHORTEST_S;
      return holds(this.only) ? this.only : this.chosen.size ? null : this.state.turns.find(holds) || null;
    }

    /** The chosen turns of one voice; a single one merges with the next of that voice. */
    mergeable() {
      const chosen = this.state.turns.filter((turn) => this.chosen.has(turn.id));
      if (!chosen.length || chosen.some((turn) => turn.speaker !== chosen[0].speaker)) return [];
      if (chosen.length > 1) return chosen;
      const next = this.state.turns.filter((turn) => turn.speaker === chosen[0].speaker && turn.start > chosen[0].start).sort((a, b) => a.start - b.start)[0];
      return next ? [chosen[0], next] : [];
    }

    split() { const turn = this.splittable(); if (turn) this.act({ do: "split_turn", turn_id: turn.id, at_s: this.audio.currentTime }); }
    merge() { const turns = this.mergeable(); if (turns.length > 1) this.act({ do: "merge_turns", turn_ids: turns.map((turn) => turn.id) }); }
    remove() { if (this.chosen.size) this.act({ do: "delete_turns", turn_ids: [...this.chosen] }); }
    moveTo(speaker) { if (this.chosen.size) this.act({ do: "move_turns", turn_ids: [...this.chosen], speaker_id: speaker }); }
    say(text) { if (this.only) this.act({ do: "say", turn_id: this.only.id, text }); }

    add() {
      const voice = this.only?.speaker || this.state.voices[0].id, start = Math.min(this.audio.currentTime, this.state.length - 1);
      this.act({ do: "add_turn", speaker_id: voice, start_s: Math.max(0, start), end_s: Math.min(this.state.length, Math.max(0, start) + 1) });
    }

    /* ---- dragging ---- */
    hold(event, moved, ended) {
      event.preventDefault();
      event.stopPropagation();
      const move = (next) => moved(next);
      const end = (next) => {
        removeEventListener("pointermove", move);
        removeEventListener("pointerup", end);
        removeEventListener("pointercancel", end);
        ended(next);
      };
      addEventListener("pointermove", move);
      addEventListener("pointerup", end);
      addEventListener("pointercancel", end);
    }

    startTurn(event, id) {
      if (event.button) return;
      const node = event.currentTarget, turn = this.turn(id), area = node.getBoundingClientRect();
      const edge = area.width > 3 * EDGE_PX ? (event.clientX - area.left < EDGE_PX ? "start" : area.right - event.clientX < EDGE_PX ? "end" : "") : "";
      let times = null, lane = null;
      const from = event.clientX, top = event.clientY;
      this.hold(event, (next) => {
        if (edge) {
          if (!times && Math.abs(next.clientX - from) < 3) return;
          const at = this.seconds(next);
          times = edge === "start" ? [clamp(at, 0, turn.end - SHORTEST_S), turn.end] : [turn.start, clamp(at, turn.start + SHORTEST_S, this.state.length)];
          node.dataset.held = "1";
          node.style.left = this.left(times[0]);
          node.style.width = this.width(times[1] - times[0]);
          return;
        }
        lane = Math.abs(next.clientY - top) > 8 ? this.laneAt(next) : null;
        for (const other of this.lanes.children) other.classList.toggle("rt-target", other === lane && lane.dataset.voice !== turn.speaker);
      }, (last) => {
        delete node.dataset.held;
        node.rtShown = "";
        for (const other of this.lanes.children) other.classList.remove("rt-target");
        if (times) this.act({ do: "trim_turn", turn_id: id, start_s: times[0], end_s: times[1] });
        else if (lane && lane.dataset.voice !== turn.speaker) this.act({ do: "move_turns", turn_ids: this.chosen.has(id) ? [...this.chosen] : [id], speaker_id: lane.dataset.voice });
        else { this.choose(id, last.shiftKey); this.seek(this.seconds(event)); }
        node.focus({ preventScroll: true });
      });
    }

    laneAt(event) {
      return [...this.lanes.children].find((lane) => { const area = lane.getBoundingClientRect(); return area.top <= event.clientY && event.clientY < area.bottom; }) || null;
    }

    startAdding(event, voice) {
      if (event.button || event.clientX - this.wide.getBoundingClientRect().left < LABEL_PX) return;
      const start = this.seconds(event), lane = event.currentTarget;
      const node = el("div", { class: "rt-turn rt-new-turn" });
      let span = null;
      this.hold(event, (next) => {
        const at = this.seconds(next);
        span = [Math.min(start, at), Math.max(start, at)];
        if (!node.isConnected) lane.append(node);
        node.style.left = this.left(span[0]);
        node.style.width = this.width(span[1] - span[0]);
      }, () => {
        node.remove();
        if (span && span[1] - span[0] >= SHORTEST_S && ((span[1] - span[0]) / this.state.length) * this.pixels > 6) this.act({ do: "add_turn", speaker_id: voice, start_s: span[0], end_s: span[1] });
        else { this.choose(""); this.seek(start); }
      });
    }

    scrub(event) {
      if (event.button) return;
      this.seek(this.seconds(event));
      this.hold(event, (next) => this.seek(this.seconds(next)), () => {});
    }

    placeRange(range) {
      this.range.hidden = !range;
      if (!range) return;
      this.range.style.left = this.left(range[0]);
      this.range.style.width = this.width(range[1] - range[0]);
    }

    dragRange(event) {
      if (event.button) return;
      const edge = event.target.dataset.edge || "", [start, end] = this.state.preview, grabbed = this.seconds(event);
      let range = null;
      this.hold(event, (next) => {
        const at = this.seconds(next), length = this.state.length, least = Math.min(1, length);
        if (edge === "start") range = [clamp(at, 0, end - least), end];
        else if (edge === "end") range = [start, clamp(at, start + least, length)];
        else { const first = clamp(start + at - grabbed, 0, length - (end - start)); range = [first, first + end - start]; }
        this.placeRange(range);
      }, () => {
        if (range) { this.state.preview = range; this.act({ do: "set_preview_range", range_s: range }); } else this.seek(grabbed);
      });
    }

    /* ---- playing ---- */
    seek(s) { if (this.state.sound) { this.until = null; this.audio.currentTime = clamp(s, 0, this.state.length); } this.tick(); }
    playOrPause() { this.until = null; if (this.audio.paused) this.audio.play().catch(() => {}); else this.audio.pause(); }

    playTurn(id = this.only?.id) {
      const turn = this.turn(id);
      if (!turn || !this.state.sound) return;
      this.audio.currentTime = turn.start;
      this.until = turn.end;
      this.audio.play().catch(() => {});
    }

    tick() {
      if (!this.state?.length) return;
      const at = this.audio.currentTime || 0, playing = !this.audio.paused;
      if (playing && this.until != null && at >= this.until) { this.until = null; this.audio.pause(); }
      this.head.style.left = this.left(Math.min(at, this.state.length));
      this.time.textContent = `${clock(at)} / ${clock(this.state.length)}`;
      this.playButton.textContent = playing ? word("pause") : word("play");
      this.playButton.setAttribute("aria-label", playing ? word("pause") : word("play_hint"));
      this.playButton.disabled = !this.state.sound;
      this.edits.split.disabled = !this.splittable();
      const x = LABEL_PX + (this.pixels * at) / this.state.length, shown = this.view.clientWidth;
      if (playing && (x < this.view.scrollLeft + LABEL_PX || x > this.view.scrollLeft + shown - 20)) this.view.scrollLeft = x - LABEL_PX - 30;
      const now = `${this.state.project} ${at.toFixed(2)} ${playing}`;
      if (now !== this.toldTime) document.dispatchEvent(new CustomEvent("rt-time", { detail: { project: this.state.project, time: at > 0 || playing ? at : null } }));
      this.toldTime = now;
      cancelAnimationFrame(this.next);
      if (playing) this.next = requestAnimationFrame(() => this.tick());
    }

    key(event) {
      if (event.defaultPrevented || !this.state || this.body.hidden || isTyping(event.target)) return;
      if (event.ctrlKey || event.metaKey) {
        const key = event.key.toLowerCase();
        if (key === "z" || key === "y") { this.act({ do: key === "y" || event.shiftKey ? "redo" : "undo" }); event.preventDefault(); }
        return;
      }
      if (event.altKey || event.target.closest?.("video, audio, [role=tab], [role=slider], input")) return;
      // Space presses a button that was reached with the keyboard; one that was only clicked does not keep it from playing.
      if (event.key === " " && event.target.matches?.("button, summary") && !event.target.matches(".rt-turn") && !this.byPointer) return;
      const steps = { ArrowLeft: -1, ArrowRight: 1 };
      const digit = /^[1-9]$/.test(event.key) && this.state.voices[Number(event.key) - 1];
      if (event.key === " ") this.playOrPause();
      else if (steps[event.key]) this.seek(this.audio.currentTime + steps[event.key] * (event.shiftKey ? 1 : STEP_S));
      else if (event.key === "Enter" && this.only && event.target.matches?.(".rt-turn, body")) this.playTurn();
      else if (event.key.toLowerCase() === "s") this.split();
      else if (event.key.toLowerCase() === "m") this.merge();
      else if (event.key.toLowerCase() === "a") this.add();
      else if ((event.key === "Delete" || event.key === "Backspace") && this.chosen.size) this.remove();
      else if (event.key === "Escape") this.choose("");
      else if (digit && this.chosen.size) this.moveTo(digit.id);
      else return;
      event.preventDefault();
    }
  }

  customElements.define("rt-timeline", Timeline);
})();
