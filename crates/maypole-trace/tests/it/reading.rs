use maypole_trace::{Document, Event, Refusal, WaitKind, Waker};

use crate::recorded::{Recorded, json};

fn refused(json: &str) -> String {
    Document::parse(json.as_bytes()).unwrap_err().to_string()
}

fn with(rest: &str) -> String {
    format!(r#"{{"format": "maypole-trace", "version": 1, {rest}}}"#)
}

/// The example of docs/reference/trace-format.md.
fn published_example() -> String {
    let page = include_str!("../../../../docs/reference/trace-format.md");
    let (_, example) = page.split_once("```json\n").unwrap();
    example.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_published_example_is_read() {
    let document = Document::parse(published_example().as_bytes()).unwrap();
    let step = document.steps.row(0);
    assert_eq!((step.task, step.begin_ns, step.waker), (1, 2000, Waker::Start));
    assert_eq!(document.waits.row(0).kind, WaitKind::Sleep);
    assert_eq!(document.program["pid"], 4711);
}

#[test]
fn what_is_written_has_the_groups_and_columns_that_were_published() {
    let example: serde_json::Value = serde_json::from_str(&published_example()).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&json(&Document::default())).unwrap();
    let keys = |value: &serde_json::Value| {
        value
            .as_object()
            .map(|map| map.keys().cloned().collect::<Vec<_>>())
    };
    assert_eq!(keys(&written), keys(&example));
    for (name, group) in example
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| *name != "program")
    {
        assert_eq!(keys(&written[name]), keys(group), "{name}");
    }
}

#[test]
fn the_program_can_be_put_in_by_its_place() {
    assert!(
        json(&Document::default()).starts_with(br#"{"format":"maypole-trace","version":1,"program":{},"#)
    );
}

#[test]
fn groups_that_are_missing_are_empty() {
    let document = Document::parse(with(r#""duration_ns": 7"#).as_bytes()).unwrap();
    assert_eq!((document.duration_ns, document.steps.len()), (7, 0));
}

#[test]
fn what_a_later_writer_added_is_passed_over() {
    let text = with(
        r#""tasks": {"id": [1], "name": [-1], "function": [-1], "parent": [0], "created_at": [-1], "created_ns": [0],
        "ended_ns": [-1], "outcome": ["pending"], "error": [-1], "mood": ["good"]}, "songs": {"title": [1, 2]},
        "waits": {"task": [1], "begin_ns": [3], "kind": ["lunch"], "site": [-1], "on_task": [0]}"#,
    );
    let document = Document::parse(text.as_bytes()).unwrap();
    assert_eq!(document.tasks.len(), 1);
    assert_eq!(document.waits.row(0).kind, WaitKind::Unknown);
}

#[test]
fn nothing_is_refused_as_empty() {
    assert_eq!(Document::parse(b" \n"), Err(Refusal::Empty));
}

#[test]
fn a_document_cut_short_anywhere_is_refused_as_such() {
    let whole = json(&Recorded::with([Event::step(1, 0, 1, 2, 3, Waker::Io, 0)]).document(9));
    for bytes in 1..whole.len() {
        assert_eq!(
            Document::parse(&whole[..bytes]),
            Err(Refusal::CutShort { bytes }),
            "{bytes}"
        );
    }
    assert_eq!(
        refused("{\"format\": \"may"),
        "the trace is cut short: it ends after 15 bytes, in the middle"
    );
}

#[test]
fn what_is_no_json_is_refused_with_the_place() {
    assert_eq!(
        refused("{\n  oops"),
        "this is no trace: no JSON at line 2, column 3"
    );
    assert_eq!(
        refused("\u{7f}ELF"),
        "this is no trace: no JSON at line 1, column 1"
    );
}

#[test]
fn another_format_is_refused_by_name() {
    assert_eq!(
        refused(r#"{"format": "speedscope"}"#),
        "this is no maypole-trace: its format is speedscope"
    );
    assert_eq!(
        refused(r#"{"traceEvents": []}"#),
        "this is no maypole-trace: it does not say its format"
    );
    assert_eq!(
        refused("[1, 2]"),
        "this is no maypole-trace: it does not say its format"
    );
}

#[test]
fn another_version_is_refused_by_name_whatever_it_holds() {
    let later = r#"{"format": "maypole-trace", "version": 2, "steps": "in a file of their own"}"#;
    assert_eq!(
        refused(later),
        "the trace is of version 2; this maypole reads version 1"
    );
    assert_eq!(
        refused(r#"{"format": "maypole-trace"}"#),
        "the trace does not say its version; this maypole reads version 1"
    );
}

#[test]
fn columns_of_unequal_length_are_refused() {
    let broken = with(r#""gc": {"begin_ns": [1, 2], "end_ns": [3], "generation": [0, 0]}"#);
    assert_eq!(
        refused(&broken),
        "the trace breaks its format: gc.end_ns has 1 rows, gc.begin_ns has 2"
    );
}

#[test]
fn an_index_that_points_nowhere_is_refused() {
    for index in ["1", "-2"] {
        let broken = with(&format!(
            r#""strings": ["a"], "sites": {{"file": [{index}], "line": [1], "function": [0]}}"#
        ));
        let sentence = format!("the trace breaks its format: sites.file holds {index}, which points nowhere");
        assert_eq!(refused(&broken), sentence);
    }
}

#[test]
fn a_task_that_has_no_row_is_refused() {
    let broken = with(r#""cancels": {"at_ns": [1], "task": [4], "by_task": [0]}"#);
    assert_eq!(
        refused(&broken),
        "the trace breaks its format: cancels.task names task 4, which is not in tasks"
    );
}

#[test]
fn a_value_of_another_kind_is_refused_with_the_place() {
    let refusal = refused(&with(r#""duration_ns": "long""#));
    assert!(
        refusal.starts_with("the trace breaks its format: invalid type: string \"long\""),
        "{refusal}"
    );
}
