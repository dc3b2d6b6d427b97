"""Every word of the page, in one place."""

TITLE = "Roundtable"
TAGLINE = "One group photo and one recorded conversation become a video in which everyone talks."

PROJECT = "Project"
NEW_PROJECT = "New project"
NEW_TITLE = "Project {number}"
RENAME = "Name of this project"
DAMAGED = "{name} (cannot be read)"

STEP_MEDIA = "Bring your people and your talk"
STEP_CAST = "Who says what"
STEP_LIVELY = "How lively"
STEP_RENDER = "Render"

PHOTO = "Photo of your people"
PHOTO_EMPTY = "A group photo, up to 50 megapixels."
PHOTO_THERE = "{name}, {width} × {height} px. A new photo takes its place."
SOUND = "Their conversation"
SOUND_EMPTY = "One recording (or video) of everybody, or several files: one per person."
SOUND_THERE = "{name}, {length}. A new recording takes its place."
VOICES_THERE = "{count} files, one per person, {length}. New ones take their place."
SAMPLE = "Try the sample"
SAMPLE_HINT = "No photo at hand? The sample brings six people and a telephone call."
NUM_SPEAKERS = "People in the recording"
AUTO = "As many voices as are found"
ONE_SPEAKER = "1 person speaks"
SPEAKERS = "{number} people speak"

NO_FACE = "No face was found in this photo. Mark each one by hand below, or bring another photo."
BOXED_ALT = "The photo with {count} numbered faces: {names}."
TALKS_AS = "Talks: {voice} ({length})"
LISTENS = "Listens"
STILL = "Stays still"
OFF_SCREEN = "off-screen"
SPOKEN_BY = "spoken by {face}"
TALKS_FOR = "talks {length}"
OVERLAPS = "{length} of it over somebody else"

NO_BOX = "That box has no area."
NO_BOX_REMEDY = "Click two corners of the face, or type four numbers: right beyond left, bottom beyond top."
OUTSIDE_BOX = "That box lies outside the photo."
NO_PHOTO = "There is no photo yet."
NO_PHOTO_REMEDY = "Bring a photo first."

STRENGTH = "Interaction strength"
STRENGTH_HINT = "0 calm · 1 natural · 2 lively: how much the listeners look, nod and smile."
FORMAT = "Format"
FORMATS = {"photo": "As the photo", "16:9": "Wide 16:9", "9:16": "Upright 9:16", "1:1": "Square 1:1"}
CAPTIONS = "Captions"
CAPTION_CHOICES = {"beside": "As files", "burnt-in": "In the picture", "none": "None"}
MARK = "Show “Made with AI” in the picture"
MARK_HINT = "The file says so in any case."

RENDER_HINT = "The animatic plays your plan over the photo, in about the time the conversation takes."
COSTS_ASKED = "Working out what a preview and a final take on this computer."
COST_MISSING = (
    "Previews and finals need the network {model}, of which {size} are not here yet. Get it under Networks above, or "
    "with: python launch.py models get {model}"
)
COST_UNKNOWN = "{kind}: what it takes could not be worked out; the studio's terminal says more."
CANCEL = "Cancel"
CANCELLING = "Cancelling…"
TAKE_VIDEO = "{kind} of {made_at}, {length}"
KINDS = {"animatic": "Animatic", "preview": "Preview", "final": "Final"}
COMPUTED_IN = "made in {length}"
FRAME_OF = "frame {done} of {total}"
TIME_LEFT = "about {length} left"
ANALYSIS_CANCELLED = "Stopped. Nothing was changed."

SAVED = "Every change is saved at once, in {folder}."
WELCOME_BACK = "Welcome back to {title}."
OPENED = "{title} is open."
CREATED = "{title} is ready: bring a photo and a recording."
RENAMED = "This project is called {title}."
NEW_INSTEAD = "Here is a new project instead."

STARTING = "Starting"
READING_FILE = "Reading {name}"
PREPARING_PLAYERS = "Preparing the voices to listen to"
WORKING = "Something is still being worked out."
WORKING_REMEDY = "Wait until it is done, or cancel it."
NOT_THERE = "That is no longer part of the project."
NOT_THERE_REMEDY = "Look at the page again; it shows what there is now."
EMPTY_NAME = "A name needs at least one letter."
EMPTY_NAME_REMEDY = "The old name stays."
BUG = "Something went wrong inside Roundtable: a bug. Your project is as it was last saved."
BUG_REMEDY = "The studio's terminal says more; starting again usually helps."

TALKS_NOW = "{face} talks as {voice}."
LISTENS_NOW = "{face} listens."
STILL_NOW = "{face} stays still."
LOST_VOICE = "{face} had this voice and listens now."
NOW_OFF_SCREEN = "{voice} is heard off-screen now."
REMOVED = "{face} is removed."
MARKED = "{face} is marked; it listens until you give it a voice."

PROJECT_MENU = "Project"
DUPLICATE = "Duplicate"
COPY_OF = "Copy of {title}"
SAVE_COPY = "Save a copy (zip)"
OPEN_ZIP = "Open a copy (zip)"
NO_SUCH_PROJECT = "There is no project called {name}."
NO_SUCH_PROJECT_REMEDY = "Choose one from the list, or make a new one."
UNDO, REDO = "↶ Undo", "↷ Redo"
UNDONE = "Taken back."
REDONE = "Done again."
NOTHING_TO_UNDO = "There is nothing to take back."
NOTHING_TO_REDO = "There is nothing to do again."
SAVED_CHANGE = "Saved. Undo takes it back: {change}."
NETWORKS = "Networks"
NETWORK_WANTED = "Not here yet"
GET_NETWORK = "Get it"
GETTING = "{name} is on its way; what came is kept if you stop."
GETTING_CANCELLED = "Stopped. What came so far is kept: the next try goes on from there."
NETWORKS_HERE = "Every network is here already."
NETWORKS_HERE_REMEDY = "Nothing needs to be fetched."
EMBEDDED_HINT = (
    "Finding faces, splitting voices and the animatic use networks that came with Roundtable. Previews and finals need "
    "one of these:"
)
GPU_FREE = "{name}, {free} free"
NO_GPU = "No GPU: animatics only"

CAMERA = "Take a photo now"
MICROPHONE = "Record now"
SMALL_FACE = "{name} is only {width} px wide; lips will be soft. Use a larger photo, or crop it."

LIPS = "Lip strength"
LIPS_HINT = "0 closed · 1 as spoken · 2 strong: how far mouths open."
PROMPT = "What the scene is like"
PROMPT_HINT = "For previews and finals. Leave it empty to use the ready sentence."
NEGATIVE = "What to avoid"
NEGATIVE_HINT = "Leave it empty to use the published list."
MORE_SETTINGS = "How it is computed"
PRESET = "Preset"
OWN_PRESETS = "Preview and final, each as it comes"
OWN_PRESET_OF = "Saved from {title}."
PRESET_TITLES = {"low_memory": "Low memory"}
PRESET_NAME = "Keep these settings as"
SAVE_PRESET = "Save preset"
PRESET_SAVED = "The preset {name} is saved."
CHANGED_SETTINGS = "Not as the preset: {names}."
UNCHANGED_SETTINGS = "As the preset for finals says."
MODEL = "Network"
MODEL_OF_PRESET = "As the preset"
QUANTIZATION = "Weights"
QUANTIZATIONS = {
    "auto": "Whatever fits this computer",
    "none": "Full precision",
    "int8": "8 bit",
    "nf4": "4 bit",
    "fp8": "8 bit float",
}
LORA = "Fewer steps with"
NO_LORA = "Nothing"
HEIGHT = "Short side"
SEED = "Seed"
SEED_HINT = "The same number gives the same take."
FIELD_HINTS = {
    "num_inference_steps": "More are finer and slower.",
    "guidance_scale": "How closely voice and words are followed.",
    "shift": "3 for 480 px, 5 for larger.",
    "window": "Frames computed at once.",
    "overlap": "Frames a window takes over from the one before.",
    "step_cache": "Skips steps that hardly differ; 0 is off.",
}

PLAY_PLAN = "Play plan"
PLAY_PLAN_FOR = "Play plan · {time}"
PREVIEW = "Preview"
FINAL = "Render all"
BUTTONS = {"animatic": PLAY_PLAN, "preview": PREVIEW, "final": FINAL}
BUTTON_FOR = "{what} {length}"
COST_ON_BUTTON = "{what} · about {time}, {memory}"
COST_BY_RUNS = "by what {count} earlier renders took."
COST_ESTIMATED = "an estimate, until one was rendered here."
COST_NO_GPU = "There is no GPU here, so the processor alone has to do it."
JOB_STATES = {
    "waiting": "Waiting",
    "running": "Running",
    "paused": "Paused",
    "stopping": "Stopping",
    "done": "Finished",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "interrupted": "Interrupted",
}
NO_KIND = "There is no kind of take called {kind}."
NO_KIND_REMEDY = "Ask for animatic, preview or final."

STEP_TAKES = "Takes"
STEPS_OF = "{steps} steps"
SEED_OF = "seed {seed}"
REDONE_FROM = "turn at {start} made again"
GOOD_TURN = "The right mouth moved, in time."
TAKE_DELETED = "The take is deleted."
TAKE_IN_WORK = "This take is still being rendered."
TAKE_IN_WORK_REMEDY = "Cancel its render first."
NO_TAKE_YET = "There is no finished take to export."
NO_TAKE_YET_REMEDY = "Play the plan, or render a preview or a final first."

STEP_EXPORT = "Export"
EXPORT = "Export this take"
EXPORT_FORMAT = "File"
EXPORT_FORMATS = {"h264": "mp4 (H.264)", "h265": "mp4 (H.265)", "prores": "ProRes", "webm": "webm"}
LOUDNESS = "Loudness"
LOUDNESS_CHOICES = {0: "As recorded", -14: "−14 LUFS (web)", -16: "−16 LUFS (podcast)", -23: "−23 LUFS (TV)"}
FOLLOW_SPEAKER = "Keep the speaker in the picture"
FOLLOW_HINT = "Where not everybody fits into the shape."
CREDENTIALS = "Content credentials"
CREDENTIALS_HINT = "Signed in the file: how it was made."
CONSENT_MISSING = "Nobody has noted yet that they agreed: {names}. Select a face above to write it down."
CONSENT_THERE = "It is noted for everybody that they agreed."
EXPORTING = "Exporting {take}."
EXPORTED = "{name} is ready."
EXPORTED_FILES = "Ready to download:"
EXPORT_CANCELLED = "The export was stopped; no file was left behind."
NO_EXPORT = "That is no way to export."
NO_EXPORT_REMEDY = (
    "Formats: h264, h265, prores, webm. Shapes: photo, 16:9, 9:16, 1:1. Captions: none, beside, burnt-in."
)

NO_COOKIE = "This server tells its visitors apart by a cookie, and none came along."
NO_COOKIE_REMEDY = "Allow cookies for this page and load it again; a program sends the header x-roundtable-key."
NOT_UNDERSTOOD = "The page asked for something that makes no sense."
UPLOAD_TOO_LARGE = "Files may be up to 2 GB."
UPLOAD_NO_ROOM = "There is not enough room on this computer's disk for that file."
NO_WINDOW = "A window of its own needs the package pywebview."
NO_WINDOW_REMEDY = "Install it with: pip install pywebview. Or start without --window and use the browser."
PUBLIC_NOTE = "Anyone who can reach this address can see and change your projects."
VISITORS_NOTE = "Each browser that comes has projects of its own. To share yours with everybody, start with --together."

COMPONENT_WORDS = {
    "faces": "Faces",
    "voices": "Voices",
    "add_voice": "+ Add a voice",
    "hint_photo": "Click a face, then its voice. Drag boxes to move or resize them; draw one where a face is missing.",
    "hint_selected": "{face} is selected: click a voice, or press its number. Delete removes the box.",
    "box_label": "Face {number}: {name}, {part}",
    "select_face": "Select {face}",
    "face_name": "Name of face {number}",
    "face_part": "{name}: part",
    "remove_face": "Remove this face",
    "liveliness": "Liveliness",
    "lip_strength": "Lips",
    "consent": "Consent",
    "consent_empty": "Who agreed, and how",
    "voice_name": "Name of voice {number}",
    "play_voice": "Listen to {voice}",
    "spoken_by": "{voice} is spoken by",
    "off_screen": "Off-screen",
    "give_voice": "Give this voice ({number})",
    "merge": "Same person as…",
    "merge_into": "Same as {voice}",
    "merge_label": "Merge {voice} with another voice",
    "timeline": "Who speaks when",
    "play": "▶ Play",
    "play_hint": "Play or pause (space)",
    "pause": "❚❚ Pause",
    "play_turn": "Play turn",
    "play_turn_hint": "Play the selected turn (Enter)",
    "split": "Split",
    "split_hint": "Split the turn at the playhead (S)",
    "merge_turns": "Merge",
    "merge_turns_hint": "Merge the selected turns, or this one with the next (M)",
    "delete_turn": "Delete",
    "delete_turn_hint": "Delete the selected turns (Delete)",
    "add_turn": "Add",
    "add_turn_hint": "Add a turn at the playhead (A), or draw one in a lane",
    "move_turn": "Move to…",
    "says": "What is said in this turn",
    "says_empty": "What is said here",
    "zoom_in": "+",
    "zoom_in_hint": "Zoom in (Ctrl + wheel)",
    "zoom_out": "−",
    "zoom_out_hint": "Zoom out (Ctrl + wheel)",
    "range": "preview",
    "range_hint": "What a preview renders: drag it, or its edges",
    "turn_label": "{voice}, {start} to {end}",
    "overlapped": "partly over somebody else",
    "queue": "Renders",
    "queue_hold": "Hold the queue",
    "queue_go": "Let the queue go on",
    "live_frame": "The newest frame",
    "pause_job": "Pause",
    "resume_job": "Go on",
    "keep_job": "Stop and keep",
    "cancel_job": "Cancel",
    "earlier_job": "Earlier",
    "later_job": "Later",
    "duplicate_job": "Duplicate",
    "remove_job": "Remove",
    "takes": "Takes",
    "no_take": "Your videos will play here.",
    "compare": "Compare",
    "load_take": "Use its settings",
    "delete_take": "Delete",
    "delete_sure": "Really delete?",
    "captions": "Captions",
    "download_video": "Download video",
    "download_captions": "Download captions (SRT)",
    "report": "Open the check",
    "not_checked": "Not checked yet.",
    "redo_turn": "Redo this turn",
}
"""Words of the web components in assets/."""


def about(length_s: float) -> str:
    """A length that nobody should take to the second: "about 12 s", "about 3 min"."""
    if length_s < 60:
        return f"about {max(1, round(length_s / 5) * 5 if length_s > 10 else round(length_s))} s"
    return f"about {round(length_s / 60)} min"


def seconds(length_s: float) -> str:
    """A length for people: 9.6 s, 42 s, 3 min 05 s."""
    if length_s < 10:
        return f"{length_s:.1f} s"
    whole = round(length_s)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s"


# Sentences of the actions

OWN_FILES = "Each voice of this project has a recording of its own, so what one says cannot become another's."
OWN_FILES_REMEDY = "Give the voice to another face instead, or bring one recording of everybody."
NO_NUMBER = "{what} must be a number."
NO_NUMBER_REMEDY = "Nothing was changed."

MOVED_TURN = "{voice} says this now ({at})."
JOINED_TURN = "{voice} talked at that moment already: the two are one turn now."
SPLIT_TURN = "Split at {at}."
SPLIT_AT_EDGE = "A turn can only be split inside it: this one goes from {start} to {end}."
SPLIT_AT_EDGE_REMEDY = "Put the playhead between, at least {shortest} s from either end."
MERGED_TURNS = "{count} turns of {voice} are one now."
MERGE_NEEDS_TWO = "Merging needs at least two turns."
MERGE_NEEDS_TWO_REMEDY = "Select several turns of one voice."
MERGE_OTHERS = "These turns are of different voices: {voices}."
MERGE_OTHERS_REMEDY = "Select turns of one voice, or merge the two voices if they are one person."
TRIMMED_TURN = "{voice} talks from {start} to {end} here."
DELETED_TURN = "{voice} is silent from {start} to {end} now."
ADDED_TURN = "{voice} talks from {start} to {end} now."
TURN_OUTSIDE = "The recording is {length} long; there is nothing at {at}."
TURN_OUTSIDE_REMEDY = "Choose a place inside the recording."
TURN_TAKEN = "{voice} talks there already."
TURN_TAKEN_REMEDY = "Drag the edge of that turn, or choose a place where this voice is silent."
TURN_TOO_SHORT = "A turn lasts at least {shortest} s."
TURN_TOO_SHORT_REMEDY = "Mark a longer stretch."
NO_SOUND = "There is no recording yet."
NO_SOUND_REMEDY = "Bring a recording first."
TOO_LONG_TEXT = "{what} may have up to {longest} letters; this has {length}."
TOO_LONG_TEXT_REMEDY = "Make it shorter. The old one stays."

MERGED_VOICES = "{gone} and {kept} are one voice now: {kept}."
MERGE_ITSELF = "A voice cannot be merged with itself."
MERGE_ITSELF_REMEDY = "Choose two voices."
ADDED_VOICE = "{voice} is added, off-screen. Give it the turns that are its own."
VOICE_NAME_GIVEN = "Speaker {number}"

MOVED_FACE = "{face} is where you put it."
SWAPPED = "{face_a} and {face_b} have swapped voices."
CONSENT_SAVED = "The consent note of {face} is saved."
LITTLE_BOX = "That box is too small for a face."

AS_PRESETS = "{what}: as each preset has it."
USES_PRESET = "Settings as in the preset {name}."
USES_OWN_PRESETS = "Preview and final use their own presets again."
USES_TAKE = "Settings as in that {kind}."
NO_SETTING = "There is no setting {field!r} to change here."
NO_SETTING_REMEDY = "Look at the page again; it shows which there are."
OUT_OF_BOUNDS = "{what} must be {allowed}; {given} is not."
OUT_OF_BOUNDS_REMEDY = "{default} is what it is when nobody changes it."
BETWEEN = "between {low} and {high}"
WHOLE_BETWEEN = "a whole number between {low} and {high}"
EVEN_BETWEEN = "an even number between {low} and {high}"
ONE_OF = "one of: {choices}"
PLAIN_VALUES = {True: "yes", False: "no", None: "none"}
RANGE_ORDER = "A range is two times in seconds, its start and its end."
RANGE_ORDER_REMEDY = "Choose both inside the recording, which is {length} long."
RANGE_SHORT = "A preview is at least {shortest} s long."
RANGE_SHORT_REMEDY = "Choose a longer stretch; the recording is {length} long."
RANGE_SET = "The preview goes from {start} to {end}."
RANGE_LIVELIEST = "The preview shows the liveliest exchange."

FIELD_NAMES = {
    "interaction_strength": "Interaction strength",
    "lip_strength": "Lip strength",
    "liveliness": "Liveliness",
    "gain_db": "The volume in dB",
    "prompt": "The prompt",
    "negative_prompt": "The negative prompt",
    "consent": "A consent note",
    "text": "The words of a turn",
    "num_inference_steps": "Steps",
    "guidance_scale": "Guidance",
    "seed": "The seed",
    "window": "Frames per window",
    "overlap": "Frames that windows share",
    "model": "The model",
    "quantization": "Quantization",
    "height": "The short side in px",
    "frame_rate": "Frames per second",
    "shift": "Shift",
    "lora": "The LoRA",
    "step_cache": "The step cache",
    "aspect": "The shape",
    "captions": "Captions",
    "visible_mark": "The visible mark",
    "format": "The format",
    "follow_speaker": "Following the speaker",
    "loudness_lufs": "Loudness in LUFS",
    "credentials": "Content credentials",
    "start_s": "The start",
    "end_s": "The end",
    "at_s": "The place",
    "box": "Each side of a box",
}
"""What a field is called in a sentence, at its beginning."""

ACTION_NAMES = {
    "move_turn": "move a turn",
    "split_turn": "split a turn",
    "merge_turns": "merge turns",
    "trim_turn": "trim a turn",
    "delete_turn": "delete a turn",
    "add_turn": "add a turn",
    "say": "change words",
    "rename_voice": "rename a voice",
    "merge_voices": "merge two voices",
    "set_gain": "change a volume",
    "set_off_screen": "put a voice off-screen",
    "add_voice": "add a voice",
    "rename_face": "rename a face",
    "move_face": "move a face",
    "remove_face": "remove a face",
    "mark_face": "mark a face",
    "set_consent": "change a consent note",
    "choose_part": "change a part",
    "swap_voices": "swap two voices",
    "set_strength": "change the interaction strength",
    "set_lip_strength": "change the lip strength",
    "set_prompt": "change the prompt",
    "set_negative_prompt": "change the negative prompt",
    "set_member": "change a person",
    "set_setting": "change a setting",
    "use_preset": "use a preset",
    "load_settings": "use a take's settings",
    "set_export": "change the export",
    "set_preview_range": "change the preview's range",
    "bring_photo": "bring a photo",
    "bring_sound": "bring a recording",
    "find_speakers": "analyse again",
}
"""Completes "Undo: …", by the name of the action's function."""
SOME_CHANGE = "the last change"


def clock(time_s: float) -> str:
    """A place in the recording for people: 0:04.2, 12:00.0."""
    tenths = round(time_s * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"
