/* <rt-people>: the photo with its boxes, a card per face, a card per voice. Click a face, then a voice. */
"use strict";
(() => {
  const { word, el, follow, show, options, onlyOne, isTyping, clamp } = window.roundtable;
  const CORNERS = ["nw", "ne", "sw", "se"];
  const SMALLEST_PX = 12;

  class People extends HTMLElement {
    connectedCallback() {
      if (this.stage) return;
      this.selected = "";
      this.image = el("img", { alt: "", draggable: "false" });
      this.boxes = el("div", { class: "rt-boxes" });
      this.stage = el("div", { class: "rt-stage", onpointerdown: (event) => this.startDrawing(event) }, this.image, this.boxes);
      this.hint = el("p", { class: "rt-hint" });
      this.faces = el("div", { class: "rt-cards", role: "list", "aria-label": word("faces") });
      this.voices = el("div", { class: "rt-cards rt-voices", role: "list", "aria-label": word("voices") });
      this.voicesTitle = el("h3", { class: "rt-sub" }, word("voices"));
      this.addVoice = el("button", { type: "button", class: "rt-quiet-button", onclick: () => this.act({ do: "add_voice" }) }, word("add_voice"));
      this.player = el("audio", { preload: "none" });
      onlyOne(this.player);
      this.player.addEventListener("pause", () => this.showPlaying(""));
      this.append(
        el("div", { class: "rt-board" },
          el("div", { class: "rt-photo-side" }, this.stage, this.hint),
          el("div", { class: "rt-card-side" }, this.faces)),
        el("div", { class: "rt-voice-bar" }, this.voicesTitle, this.addVoice), this.voices, this.player);
      document.addEventListener("rt-time", (event) => this.glow(event.detail));
      document.addEventListener("keydown", (event) => this.key(event));
      if (this.waiting) this.take(this.waiting);
    }

    take(state) {
      if (!this.stage) { this.waiting = state; return; }
      const other = this.state?.project !== state.project;
      this.state = state;
      if (other || !state.faces.some((face) => face.id === this.selected)) this.selected = "";
      this.querySelector(".rt-board").hidden = !state.photo;
      if (state.photo) {
        if (this.image.getAttribute("src") !== state.photo.url) this.image.src = state.photo.url;
        this.image.alt = state.photo.alt;
        this.stage.style.setProperty("--ratio", state.photo.width / state.photo.height);
      }
      if (!this.drag) this.drawBoxes();
      follow(this.faces, state.faces, (face) => this.makeFace(face), (node, face) => this.updateFace(node, face));
      follow(this.voices, state.voices, (voice) => this.makeVoice(voice), (node, voice) => this.updateVoice(node, voice));
      this.querySelector(".rt-voice-bar").hidden = !state.voices.length;
      this.mark();
    }

    face(id) { return this.state.faces.find((face) => face.id === id); }

    select(id) {
      this.selected = this.selected === id ? "" : id;
      this.mark();
    }

    mark() {
      for (const node of this.querySelectorAll("[data-face]")) node.classList.toggle("rt-selected", node.dataset.face === this.selected);
      this.classList.toggle("rt-choosing", Boolean(this.selected && this.state.voices.length));
      const face = this.selected && this.face(this.selected);
      this.hint.textContent = face ? word("hint_selected", { face: face.name }) : word("hint_photo");
    }

    /* ---- boxes on the photo ---- */
    drawBoxes() {
      follow(this.boxes, this.state.faces, (face) => this.makeBox(face), (node, face) => {
        node.style.setProperty("--c", face.colour);
        node.style.setProperty("--ink", face.ink);
        node.querySelector("b").textContent = face.number;
        node.querySelector("span").textContent = face.label;
        node.setAttribute("aria-label", word("box_label", { number: face.number, name: face.name, part: face.label }));
        this.place(node, face.box);
      });
    }

    makeBox(face) {
      const node = el("div", {
        class: "rt-box", tabindex: 0, role: "button", "data-face": face.id,
        onpointerdown: (event) => this.startDragging(event, face.id),
        onkeydown: (event) => this.boxKey(event, face.id),
      }, el("b"), el("span", { class: "rt-box-name" }));
      CORNERS.forEach((corner) => node.append(el("i", { class: `rt-grip rt-${corner}`, "data-corner": corner, "aria-hidden": "true" })));
      return node;
    }

    place(node, [x0, y0, x1, y1]) {
      const { width, height } = this.state.photo;
      Object.assign(node.style, {
        left: `${(100 * x0) / width}%`, top: `${(100 * y0) / height}%`,
        width: `${(100 * (x1 - x0)) / width}%`, height: `${(100 * (y1 - y0)) / height}%`,
      });
    }

    at(event) {
      const area = this.image.getBoundingClientRect();
      const { width, height } = this.state.photo;
      return [clamp((event.clientX - area.left) / area.width, 0, 1) * width, clamp((event.clientY - area.top) / area.height, 0, 1) * height];
    }

    startDragging(event, id) {
      event.stopPropagation();
      if (event.button) return;
      const corner = event.target.dataset.corner || "";
      const node = event.currentTarget, box = this.face(id).box, [x, y] = this.at(event);
      this.drag = true;
      let moved = null;
      this.followPointer(event, (now) => {
        const [dx, dy] = [now[0] - x, now[1] - y];
        if (!moved && Math.hypot(dx, dy) * this.scale() < 4) return;
        moved = corner ? this.resized(box, corner, dx, dy) : this.shifted(box, dx, dy);
        this.place(node, moved);
      }, () => {
        if (moved) {
          this.face(id).box = moved;
          this.act({ do: "move_face", face_id: id, box_px: moved });
        } else if (!event.target.dataset.corner) this.select(id);
        node.focus({ preventScroll: true });
      });
    }

    startDrawing(event) {
      if (event.button || !this.state?.photo) return;
      const [x, y] = this.at(event);
      const node = el("div", { class: "rt-box rt-new-box" });
      let box = null;
      this.drag = true;
      this.followPointer(event, ([nx, ny]) => {
        box = [Math.min(x, nx), Math.min(y, ny), Math.max(x, nx), Math.max(y, ny)];
        if (!node.isConnected) this.boxes.append(node);
        this.place(node, box);
      }, () => {
        node.remove();
        if (box && Math.min(box[2] - box[0], box[3] - box[1]) * this.scale() >= SMALLEST_PX) this.act({ do: "draw_face", box_px: box });
        else if (this.selected) this.select(this.selected);
      });
    }

    scale() { return this.image.getBoundingClientRect().width / this.state.photo.width; }

    shifted([x0, y0, x1, y1], dx, dy) {
      const { width, height } = this.state.photo;
      const [mx, my] = [clamp(dx, -x0, width - x1), clamp(dy, -y0, height - y1)];
      return [x0 + mx, y0 + my, x1 + mx, y1 + my];
    }

    resized([x0, y0, x1, y1], corner, dx, dy) {
      const { width, height } = this.state.photo, least = SMALLEST_PX / this.scale();
      if (corner.includes("w")) x0 = clamp(x0 + dx, 0, x1 - least); else x1 = clamp(x1 + dx, x0 + least, width);
      if (corner.includes("n")) y0 = clamp(y0 + dy, 0, y1 - least); else y1 = clamp(y1 + dy, y0 + least, height);
      return [x0, y0, x1, y1];
    }

    followPointer(event, moved, ended) {
      event.preventDefault();
      const move = (next) => moved(this.at(next));
      const end = () => {
        removeEventListener("pointermove", move);
        removeEventListener("pointerup", end);
        removeEventListener("pointercancel", end);
        this.drag = false;
        ended();
      };
      addEventListener("pointermove", move);
      addEventListener("pointerup", end);
      addEventListener("pointercancel", end);
    }

    boxKey(event, id) {
      const step = (event.shiftKey ? 10 : 1) / this.scale();
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (event.key === "Enter") this.select(id);
      else if (event.key === "Delete" || event.key === "Backspace") this.act({ do: "remove_face", face_id: id });
      else if (moves[event.key]) {
        const box = this.shifted(this.face(id).box, ...moves[event.key]);
        this.face(id).box = box;
        this.place(event.currentTarget, box);
        clearTimeout(this.nudge);
        this.nudge = setTimeout(() => this.act({ do: "move_face", face_id: id, box_px: box }), 400);
      } else return;
      event.preventDefault();
      event.stopPropagation();
    }

    /* ---- cards ---- */
    makeFace(face) {
      const id = face.id;
      const name = this.nameField("rename_face", { face_id: id });
      const part = el("select", { class: "rt-part", onchange: (event) => this.act({ do: "choose_part", face_id: id, choice: event.target.value }) });
      const slider = (field) => this.slider(field, 0, 2, 0.1, (value) => this.act({ do: "set_member", face_id: id, [field]: value }));
      const consent = el("input", { type: "text", maxlength: 500, placeholder: word("consent_empty"), onchange: (event) => this.act({ do: "set_consent", face_id: id, text: event.target.value }) });
      const remove = el("button", { type: "button", class: "rt-quiet-button", onclick: () => this.act({ do: "remove_face", face_id: id }) }, word("remove_face"));
      const node = el("div", { class: "rt-card", role: "listitem", "data-face": id },
        el("button", { type: "button", class: "rt-face", onclick: () => this.select(id) }, el("img", { alt: "", width: 56, height: 56 }), el("b")),
        el("div", { class: "rt-card-body" }, el("div", { class: "rt-card-line" }, name, part), el("p", { class: "rt-note" })),
        el("div", { class: "rt-more" }, slider("liveliness"), slider("lip_strength"),
          el("label", { class: "rt-field" }, el("span", {}, word("consent")), consent), remove));
      node.parts = { name, part, consent };
      return node;
    }

    updateFace(node, face) {
      node.style.setProperty("--c", face.colour);
      node.style.setProperty("--ink", face.ink);
      const picture = node.querySelector("img"), button = node.querySelector(".rt-face");
      if (picture.getAttribute("src") !== face.thumb) picture.src = face.thumb;
      button.setAttribute("aria-label", word("select_face", { face: face.name }));
      button.querySelector("b").textContent = face.number;
      show(node.parts.name, face.name);
      node.parts.name.setAttribute("aria-label", word("face_name", { number: face.number }));
      node.parts.part.setAttribute("aria-label", word("face_part", { name: face.name }));
      options(node.parts.part, face.choices, face.choice);
      const note = node.querySelector(".rt-note");
      note.textContent = face.note;
      note.hidden = !face.note;
      show(node.parts.consent, face.consent);
      for (const field of ["liveliness", "lip_strength"]) this.showSlider(node.querySelector(`[data-field=${field}]`), face[field]);
      node.querySelector("[data-field=liveliness]").hidden = face.part === "still";
      node.querySelector("[data-field=lip_strength]").hidden = face.part !== "talks";
    }

    makeVoice(voice) {
      const id = voice.id;
      const play = el("button", { type: "button", class: "rt-play", onclick: (event) => { event.stopPropagation(); this.playVoice(id); } });
      const name = this.nameField("rename_voice", { speaker_id: id });
      const by = el("select", { class: "rt-part", onchange: (event) => this.act(event.target.value ? { do: "choose_part", face_id: event.target.value, choice: `voice:${id}` } : { do: "set_off_screen", speaker_id: id }) });
      const merge = el("select", { class: "rt-merge", onchange: (event) => { const into = event.target.value; event.target.value = ""; if (into) this.act({ do: "merge_voices", from_id: id, into_id: into }); } });
      const node = el("div", {
        class: "rt-card rt-voice", role: "listitem", "data-voice": id,
        onclick: (event) => { if (this.selected && !event.target.closest("input, select, button")) this.give(id); },
      }, play, el("div", { class: "rt-card-body" }, el("div", { class: "rt-card-line" }, name, by), el("p", { class: "rt-note" })), merge,
        el("button", { type: "button", class: "rt-give", onclick: () => this.give(id) }));
      node.parts = { play, name, by, merge };
      return node;
    }

    updateVoice(node, voice) {
      node.style.setProperty("--c", voice.colour);
      show(node.parts.name, voice.name);
      node.parts.name.setAttribute("aria-label", word("voice_name", { number: voice.number }));
      node.parts.play.setAttribute("aria-label", word("play_voice", { voice: voice.name }));
      node.parts.play.disabled = !voice.sound;
      node.parts.by.setAttribute("aria-label", word("spoken_by", { voice: voice.name }));
      options(node.parts.by, [["", word("off_screen")], ...this.state.faces.map((face) => [face.id, face.name])], voice.face_id || "");
      node.querySelector(".rt-note").textContent = voice.talking;
      node.querySelector(".rt-give").textContent = word("give_voice", { number: voice.number });
      const others = this.state.voices.filter((other) => other.id !== voice.id);
      node.parts.merge.hidden = !others.length;
      node.parts.merge.setAttribute("aria-label", word("merge_label", { voice: voice.name }));
      options(node.parts.merge, [["", word("merge")], ...others.map((other) => [other.id, word("merge_into", { voice: other.name })])], "");
    }

    give(id) {
      if (!this.selected) return;
      this.act({ do: "choose_part", face_id: this.selected, choice: `voice:${id}` });
      this.selected = "";
      this.mark();
    }

    playVoice(id) {
      const voice = this.state.voices.find((other) => other.id === id);
      if (this.playingVoice === id && !this.player.paused) { this.player.pause(); return; }
      if (this.player.getAttribute("src") !== voice.sound) this.player.src = voice.sound;
      this.player.currentTime = voice.start_s;
      this.player.play().then(() => this.showPlaying(id), () => this.showPlaying(""));
    }

    showPlaying(id) {
      this.playingVoice = id;
      for (const node of this.voices.children) node.classList.toggle("rt-playing", node.dataset.voice === id);
    }

    nameField(action, fixed) {
      return el("input", {
        type: "text", maxlength: 60, class: "rt-name", spellcheck: "false",
        onkeydown: (event) => { if (event.key === "Enter") event.target.blur(); event.stopPropagation(); },
        onchange: (event) => this.act({ do: action, ...fixed, name: event.target.value }),
      });
    }

    slider(field, low, high, step, changed) {
      const input = el("input", { type: "range", min: low, max: high, step, onchange: (event) => changed(Number(event.target.value)), oninput: (event) => { event.target.nextSibling.textContent = event.target.value; } });
      return el("label", { class: "rt-field", "data-field": field }, el("span", {}, word(field)), input, el("output"));
    }

    showSlider(label, value) {
      const input = label.querySelector("input");
      show(input, value);
      if (input !== document.activeElement) input.nextSibling.textContent = value.toFixed(1);
    }

    /** Whoever speaks at this moment of the recording shines. */
    glow({ project, time }) {
      if (!this.state || project !== this.state.project) return;
      const speaking = new Set(time == null ? [] : this.state.turns.filter((turn) => turn.start <= time && time < turn.end).map((turn) => turn.speaker));
      const faces = new Set(this.state.voices.filter((voice) => speaking.has(voice.id)).map((voice) => voice.face_id));
      for (const node of this.boxes.children) node.classList.toggle("rt-speaking", faces.has(node.dataset.face));
    }

    key(event) {
      if (!this.selected || isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Escape") { this.select(this.selected); return; }
      const voice = /^[1-9]$/.test(event.key) && this.state.voices[Number(event.key) - 1];
      if (!voice) return;
      this.give(voice.id);
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }

  customElements.define("rt-people", People);
})();
