/* What the page's web components share: elements, words, times, the road to the server. */
"use strict";
window.roundtable = (() => {
  const words = window.roundtableWords || {};

  /** The word of that key with {name}s filled in. */
  const word = (key, values = {}) =>
    Object.entries(values).reduce((text, [name, value]) => text.replaceAll(`{${name}}`, value), words[key] ?? key);

  /** An element: text never becomes markup, handlers start with "on". */
  function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "class") node.className = value;
      else if (name === "style") Object.entries(value).forEach(([key, v]) => node.style.setProperty(key, v));
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value != null) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child != null && child !== false));
    return node;
  }

  /** Children of `parent` follow `items` by id: made once, updated in place, so that no click and no focus is lost. */
  function follow(parent, items, make, update) {
    const wanted = new Set(items.map((item) => item.id));
    // First those that are gone: as long as one stands in the way, everything behind it would be moved.
    [...parent.children].forEach((node) => { if (!wanted.has(node.dataset.key)) node.remove(); });
    const known = new Map([...parent.children].map((node) => [node.dataset.key, node]));
    items.forEach((item, index) => {
      let node = known.get(item.id);
      if (!node) {
        node = make(item);
        node.dataset.key = item.id;
      }
      if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] || null);
      update(node, item);
    });
  }

  /** Set what a control shows, unless somebody is using it right now. */
  function show(control, value) {
    if (control === document.activeElement || control.dataset.held) return;
    if (control.value !== String(value)) control.value = value;
  }

  /** Options of a select: [[value, text], …]; rebuilt only where they differ. */
  function options(select, pairs, value) {
    const wanted = JSON.stringify(pairs);
    if (select.dataset.pairs !== wanted) {
      select.replaceChildren(...pairs.map(([v, text]) => el("option", { value: v }, text)));
      select.dataset.pairs = wanted;
    }
    select.value = value;
  }

  const clock = (s, digits = 1) => {
    const whole = Math.max(0, s);
    const minutes = Math.floor(whole / 60);
    return `${minutes}:${(whole - 60 * minutes).toFixed(digits).padStart(digits ? 3 + digits : 2, "0")}`;
  };

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  /** One audio element for everything that is heard: whatever starts stops what played before. */
  let playing = null;
  const onlyOne = (media) => media.addEventListener("play", () => {
    if (playing && playing !== media) playing.pause();
    playing = media;
  });

  const isTyping = (target) =>
    target instanceof HTMLElement &&
    (target.matches("textarea, select, [contenteditable], [role=combobox], [role=listbox]") ||
      (target.matches("input") && !["range", "checkbox", "radio", "button"].includes(target.type)));

  /** What the server will most likely answer, shown at once: its answer, a moment later, is what counts. */
  const foreseen = {
    choose_part(state, { face_id, choice }) {
      const speaker = choice.startsWith("voice:") ? choice.slice(6) : "";
      for (const face of state.faces) {
        if (face.id === face_id) Object.assign(face, { choice, part: speaker ? "talks" : choice });
        else if (speaker && face.choice === choice) Object.assign(face, { choice: "listens", part: "listens" });
      }
      for (const voice of state.voices) {
        if (voice.id === speaker) paint(state, voice, face_id);
        else if (voice.face_id === face_id) paint(state, voice, null);
      }
    },
    set_off_screen(state, { speaker_id }) {
      for (const face of state.faces) if (face.choice === `voice:${speaker_id}`) Object.assign(face, { choice: "listens", part: "listens" });
      for (const voice of state.voices) if (voice.id === speaker_id) paint(state, voice, null);
    },
    move_turns(state, { turn_ids, speaker_id }) { each(state.turns, turn_ids, (turn) => { turn.speaker = speaker_id; }); },
    delete_turns(state, { turn_ids }) { state.turns = state.turns.filter((turn) => !turn_ids.includes(turn.id)); },
    trim_turn(state, { turn_id, start_s, end_s }) { each(state.turns, [turn_id], (turn) => { Object.assign(turn, { start: start_s, end: end_s, over: [] }); }); },
    add_turn(state, { speaker_id, start_s, end_s }) { state.turns.push({ id: "new", speaker: speaker_id, start: start_s, end: end_s, over: [], text: "", edited: true }); },
    split_turn(state, { turn_id, at_s }) {
      each(state.turns, [turn_id], (turn) => {
        state.turns.push({ ...turn, id: "new", start: at_s, over: [], text: "" });
        Object.assign(turn, { end: at_s, over: [] });
      });
    },
    say(state, { turn_id, text }) { each(state.turns, [turn_id], (turn) => { turn.text = text; }); },
    rename_face(state, { face_id, name }) { each(state.faces, [face_id], (face) => { face.name = face.label = name; }); },
    rename_voice(state, { speaker_id, name }) { each(state.voices, [speaker_id], (voice) => { voice.name = name; }); },
    remove_face(state, { face_id }) { state.faces = state.faces.filter((face) => face.id !== face_id); },
    move_face(state, { face_id, box_px }) { each(state.faces, [face_id], (face) => { face.box = box_px; }); },
    set_preview_range(state, { range_s }) { if (range_s) state.preview = range_s; },
  };
  const each = (items, ids, change) => items.filter((item) => ids.includes(item.id)).forEach(change);
  const paint = (state, voice, face_id) => {
    const face = state.faces.find((other) => other.id === face_id);
    Object.assign(voice, { face_id, colour: face?.colour || "#8a8f98", ink: face?.ink || "#1d1c1b" });
  };

  /** Gradio's HTML component → the custom elements inside it: state in, actions out. */
  function connect(element, props, trigger, watch) {
    const inside = () => [...element.querySelectorAll("rt-people, rt-timeline, rt-takes, rt-queue")];
    let state = null;
    const show = () => { if (state) inside().forEach((node) => node.take(state)); };
    const give = () => {
      try { state = JSON.parse(props.value || "null"); } catch { return; }
      show();
    };
    const act = (action) => {
      if (state && foreseen[action.do]) {
        state = structuredClone(state);
        foreseen[action.do](state, action);
        show();
      }
      trigger("input", action);
    };
    inside().forEach((node) => { node.act = act; });
    watch("value", give);
    give();
  }

  /** A picture or a sound from the clipboard goes where it would have been dropped. */
  document.addEventListener("paste", (event) => {
    if (isTyping(event.target)) return;
    for (const file of event.clipboardData?.files || []) {
      const place = file.type.startsWith("image/") ? "photo" : /^(audio|video)\//.test(file.type) ? "sound" : "";
      const input = place && document.querySelector(`#${place} input[type=file]`);
      if (!input) continue;
      const transfer = new DataTransfer();
      transfer.items.add(file);
      input.files = transfer.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
      event.preventDefault();
      return;
    }
  });

  return { word, el, follow, show, options, clock, clamp, onlyOne, isTyping, connect };
})();
