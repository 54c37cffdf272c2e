"""Every rule of a widget's archive in one table, and the one function that applies it (U1, U3)."""

from __future__ import annotations

from hub.widget_archive import code, files, image, manifest, style, translation
from hub.widget_archive.archive import Archive
from hub.widget_archive.finding import Finding, Rule

__all__ = ["RULES", "check_archive"]

_FILES, _MANIFEST, _SCRIPT = "structure of the widget", "manifest.json", "script.js"
_IMAGES, _CHECKLIST, _OURS = "images", "marketplace checklist", "our own"


def _rule(name: str, says: str, source: str, find: object) -> Rule:
    assert callable(find)
    return Rule(name=name, says=says, source=source, find=find)


#: in the order in which a person mends them
RULES: tuple[Rule, ...] = (
    _rule("archive-name", "The archive is called widget.zip.", _FILES, files.must_have_its_name),
    _rule("archive-zip", "It is a zip that can be read, with every file once.", _FILES, files.must_be_readable),
    _rule("archive-root", "The files stand at its root.", _FILES, files.must_not_be_wrapped),
    _rule("archive-complete", "manifest.json and script.js are there.", _FILES, files.must_have_its_files),
    _rule("archive-unused", "No file is there that nothing uses.", _CHECKLIST, files.must_use_its_files),
    _rule("text-utf8", "Texts are UTF-8.", _FILES, files.must_be_utf8),
    _rule("text-bom", "Texts have no byte order mark.", _FILES, files.must_have_no_bom),
    _rule("text-lf", "Lines end with LF.", _FILES, files.must_end_lines_with_lf),
    _rule("manifest-json", "The manifest is a JSON object.", _MANIFEST, manifest.must_be_json),
    _rule("manifest-keys", "It has every key that must be there.", _MANIFEST, manifest.must_have_its_keys),
    _rule("manifest-unknown", "It has no key that amoCRM does not know.", _MANIFEST, manifest.must_know_its_keys),
    _rule("manifest-interface", "interface_version is 2.", _MANIFEST, manifest.must_have_interface_2),
    _rule("manifest-secret", "It carries no secret and no code.", _MANIFEST, manifest.must_carry_no_secret),
    _rule("manifest-locale", "Its languages are known to the vendor.", _MANIFEST, manifest.must_know_its_locales),
    _rule("manifest-locations", "Its locations are known.", _MANIFEST, manifest.must_know_its_locations),
    _rule("manifest-used", "Only locations that are used are declared.", _CHECKLIST, manifest.must_use_its_locations),
    _rule("manifest-blocks", "Each location has its block, and no block more.", _MANIFEST,
          manifest.must_carry_its_blocks),
    _rule("manifest-settings", "Each field has a name, a known type, and 'required'.", _MANIFEST,
          manifest.must_describe_settings),
    _rule("manifest-texts", "Each text that it names stands in every language.", _MANIFEST,
          manifest.must_name_translations),
    _rule("manifest-tour", "The tour has slides in every language.", _MANIFEST, manifest.must_show_a_tour),
    _rule("i18n-files", "Each declared language has its file.", _FILES, translation.must_stand_there_per_locale),
    _rule("i18n-keys", "All languages have the same keys.", _FILES, translation.must_hold_the_same_keys),
    _rule("i18n-empty", "Every text is translated.", _CHECKLIST, translation.must_not_be_empty),
    _rule("i18n-length", "Name and descriptions are short enough.", _CHECKLIST, translation.must_fit_their_place),
    _rule("i18n-asked", "Every text that the code asks for is there.", _OURS, translation.must_hold_what_code_asks),
    _rule("image-there", "The required images are there.", _IMAGES, image.must_be_there),
    _rule("image-size", "Images have the exact number of pixels.", _IMAGES, image.must_have_their_size),
    _rule("image-weight", "An image has at most 300 KB.", _IMAGES, image.must_be_light),
    _rule("script-closed", "Every bracket, string and comment is closed.", _OURS, code.must_be_closed),
    _rule("script-module", "Scripts are AMD modules of what is there.", _SCRIPT, code.must_define_a_module),
    _rule("script-callbacks", "render, init and bind_actions are there.", _SCRIPT, code.must_answer_callbacks),
    _rule("script-readable", "Code is neither minified nor obfuscated.", _CHECKLIST, code.must_be_readable),
    _rule("script-strict", "Every variable is declared (strict mode).", _CHECKLIST, code.must_be_strict),
    _rule("script-eval", "No eval.", _CHECKLIST, code.must_not_eval),
    _rule("script-console", "Nothing is written to the console.", _CHECKLIST, code.must_not_log),
    _rule("script-alert", "No alerts, nothing for debugging.", _CHECKLIST, code.must_not_alert),
    _rule("script-loading", "No code is loaded from elsewhere.", _CHECKLIST, code.must_load_nothing),
    _rule("script-sync", "No request blocks the page.", _CHECKLIST, code.must_not_wait),
    _rule("script-loop", "No requests in loops.", _CHECKLIST, code.must_ask_nothing_in_loops),
    _rule("script-globals", "APP is only read, and no global is made.", _CHECKLIST, code.must_leave_globals_alone),
    _rule("script-members", "Only documented members of APP are read.", _CHECKLIST, code.must_read_known_members),
    _rule("script-install", "Installing and the keys are left to the person.", _CHECKLIST,
          code.must_leave_installation_alone),
    _rule("script-origin", "Messages between windows name and check their origin.", _CHECKLIST,
          code.must_name_recipients),
    _rule("script-markup", "Nothing is written as markup.", _OURS, code.must_write_no_markup),
    _rule("style-root", "Every selector stands under our own root.", _CHECKLIST, style.must_stay_under_our_root),
    _rule("style-names", "Animations and variables bear our name.", _CHECKLIST, style.must_name_what_is_ours),
    _rule("style-loading", "Styles load nothing from elsewhere.", _CHECKLIST, style.must_load_nothing_else),
)  # fmt: skip


def check_archive(archive: Archive) -> list[Finding]:
    """Every place where a rule is broken, in the table's order; [] for a good archive."""
    return [Finding(rule=rule.name, fault=fault) for rule in RULES for fault in rule.find(archive)]
