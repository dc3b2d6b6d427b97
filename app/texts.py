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
