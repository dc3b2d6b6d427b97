"""Every word of the page, in one place."""

TITLE = "Roundtable"
TAGLINE = "One group photo and one recorded conversation become a video in which everyone talks."

PROJECT = "Project"
NEW_PROJECT = "New project"
NEW_TITLE = "Project {number}"
SAMPLE_TITLE = "Sample"
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
NUM_SPEAKERS_BOX = "How many people speak"
NUM_SPEAKERS = "People in the recording"
NUM_SPEAKERS_HINT = "Found automatically. Say it yourself when the voices below come out wrong."
AUTO = "Find out"

NOTHING_YET = "Your people and voices appear here as soon as there is a photo or a recording."
NO_FACE = "No face was found in this photo. Mark each one by hand below, or bring another photo."
BOXED_PHOTO = "Your photo"
BOXED_ALT = "The photo with {count} numbered faces: {names}."
FACE_NAME = "Name of face {number}"
FACE_PART = "{name}: part"
TALKS_AS = "Talks: {voice} ({length})"
LISTENS = "Listens"
STILL = "Stays still"
VOICES = "Voices"
VOICES_HINT = "Captions use these names."
VOICE_NAME = "Name of voice {number}"
OFF_SCREEN = "off-screen"
SPOKEN_BY = "spoken by {face}"
VOICE_PLAYER = "Listen to {voice}"
TALKS_FOR = "talks {length}"
OVERLAPS = "{length} of it over somebody else"
TIMELINE_ALT = "Who speaks when: {lanes}"
TIMELINE = "Who speaks when"

DRAW_BOX = "A face is missing?"
DRAW_HINT = (
    "Click its top left corner in the photo, then its bottom right corner; or type the place, in pixels of the photo."
)
DRAW_LEFT, DRAW_TOP, DRAW_RIGHT, DRAW_BOTTOM = "Left", "Top", "Right", "Bottom"
DRAW = "Mark this face"
REMOVE = "Remove"
REMOVE_FACE = "Remove {name}"
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

RENDER = "Render animatic"
RENDER_HINT = "The animatic plays your plan over the photo, in about the time the conversation takes."
PREVIEW, FINAL = "Preview", "Final"
COSTS_ASKED = "Working out what a preview and a final take on this computer."
COST_GPU = "{kind}: about {time}, {memory} of the GPU's memory."
COST_CPU = "{kind}: about {time} without a GPU, on the processor alone."
COST_MISSING = (
    "Previews and finals need the network {model}, of which {size} are not here yet. Fetch it with: "
    "python launch.py models get {model}"
)
COST_UNKNOWN = "{kind}: what it takes could not be worked out; the studio's terminal says more."
CANCEL = "Cancel"
CANCELLING = "Cancelling…"
TAKES = "Takes"
NO_TAKE = "Your video will play here."
TAKE_VIDEO = "{kind} of {made_at}, {length}"
DOWNLOAD_VIDEO = "Download video"
DOWNLOAD_CAPTIONS = "Download captions (SRT)"
TAKE_STATES = {
    "done": "finished",
    "cancelled": "cancelled",
    "failed": "failed",
    "interrupted": "interrupted",
    "rendering": "being rendered",
}
KINDS = {"animatic": "Animatic", "preview": "Preview", "final": "Final"}
COMPUTED_IN = "made in {length}"
LIVE_FRAME = "The newest frame"
FRAME_OF = "frame {done} of {total}"
TIME_LEFT = "about {length} left"
RENDER_DONE = "The {kind} is ready, {length} long."
RENDER_CANCELLED = "Cancelled. Your plan is as it was."
ANALYSIS_CANCELLED = "Stopped. Nothing was changed."

SAVED = "Every change is saved at once, in {folder}."
WELCOME_BACK = "Welcome back to {title}."
OPENED = "{title} is open."
CREATED = "{title} is ready: bring a photo and a recording."
RENAMED = "This project is called {title}."
NOT_OPENED = "{name} was not opened."
NEW_INSTEAD = "Here is a new project instead."

STARTING = "Starting"
READING_FILE = "Reading {name}"
PREPARING_PLAYERS = "Preparing the voices to listen to"
WORKING = "Something is still being worked out."
WORKING_REMEDY = "Wait until it is done, or cancel it."
RENDERING = "A video is being rendered."
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

PUBLIC_NOTE = "Anyone who can reach this address can see and change your projects."


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
