//! Reading a document: what it must be before anybody sees it.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::error::Category;

use super::group::Columns;
use super::refusal::Refusal;
use super::{Document, FORMAT, Index, NONE, VERSION};

/// What tells whether the rest can be read at all.
#[derive(Deserialize)]
struct Head {
    format: Option<Value>,
    version: Option<Value>,
}

impl Document {
    /// Reads a document. Groups and columns that it does not know are passed over, missing groups are empty.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] when the bytes are cut short, no JSON, of another format or version, or break a rule of the format:
    /// columns of unequal length, an index that points nowhere, a task that is there twice.
    pub fn parse(json: &[u8]) -> Result<Self, Refusal> {
        let head = head(json)?;
        let said = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if head.format.as_ref().and_then(Value::as_str) != Some(FORMAT) {
            return Err(Refusal::OtherFormat(head.format.as_ref().map(said)));
        }
        if head.version.as_ref().and_then(Value::as_u64) != Some(VERSION) {
            return Err(Refusal::OtherVersion(head.version.as_ref().map(said)));
        }
        let mut document: Self = serde_json::from_slice(json).map_err(|error| refuse(json, &error))?;
        document.waits.complete();
        document.check().map_err(Refusal::Broken)?;
        Ok(document)
    }

    fn check(&self) -> Result<(), String> {
        self.check_columns()?;
        self.check_places()?;
        self.check_tasks()
    }

    fn check_columns(&self) -> Result<(), String> {
        equal_columns(&self.sites)?;
        equal_columns(&self.tasks)?;
        equal_columns(&self.steps)?;
        equal_columns(&self.waits)?;
        equal_columns(&self.callbacks)?;
        equal_columns(&self.turns)?;
        equal_columns(&self.polls)?;
        equal_columns(&self.timers)?;
        equal_columns(&self.io)?;
        equal_columns(&self.executor)?;
        equal_columns(&self.gc)?;
        equal_columns(&self.cancels)?;
        equal_columns(&self.stalls)?;
        equal_columns(&self.marks)
    }

    fn check_places(&self) -> Result<(), String> {
        let (strings, sites) = (self.strings.len(), self.sites.len());
        in_range("sites.file", strings, self.sites.rows().map(|row| row.file))?;
        in_range(
            "sites.function",
            strings,
            self.sites.rows().map(|row| row.function),
        )?;
        in_range("tasks.name", strings, self.tasks.rows().map(|row| row.name))?;
        in_range("tasks.error", strings, self.tasks.rows().map(|row| row.error))?;
        in_range("tasks.function", sites, self.tasks.rows().map(|row| row.function))?;
        in_range(
            "tasks.created_at",
            sites,
            self.tasks.rows().map(|row| row.created_at),
        )?;
        in_range(
            "waits.operation",
            strings,
            self.waits.rows().map(|row| row.operation),
        )?;
        in_range("waits.site", sites, self.waits.rows().map(|row| row.site))?;
        in_range(
            "callbacks.name",
            strings,
            self.callbacks.rows().map(|row| row.name),
        )?;
        in_range("executor.name", strings, self.executor.rows().map(|row| row.name))?;
        in_range(
            "stalls.stack",
            sites,
            self.stalls.rows().flat_map(|row| row.stack),
        )?;
        in_range("marks.text", strings, self.marks.rows().map(|row| row.text))?;
        in_range("marks.source", strings, self.marks.rows().map(|row| row.source))
    }

    fn check_tasks(&self) -> Result<(), String> {
        let mut ids = HashSet::from([0]);
        for task in self.tasks.rows() {
            if !ids.insert(task.id) {
                return Err(format!("task {} stands in tasks twice, or is 0", task.id));
            }
        }
        let known =
            |column: &str, mut tasks: &mut dyn Iterator<Item = u32>| match Iterator::by_ref(&mut tasks)
                .find(|task| !ids.contains(task))
            {
                Some(task) => Err(format!("{column} names task {task}, which is not in tasks")),
                None => Ok(()),
            };
        known("tasks.parent", &mut self.tasks.rows().map(|row| row.parent))?;
        known("steps.task", &mut self.steps.rows().map(|row| row.task))?;
        known(
            "steps.waker_task",
            &mut self.steps.rows().map(|row| row.waker_task),
        )?;
        known("waits.task", &mut self.waits.rows().map(|row| row.task))?;
        known("waits.on_task", &mut self.waits.rows().map(|row| row.on_task))?;
        known(
            "callbacks.waker_task",
            &mut self.callbacks.rows().map(|row| row.waker_task),
        )?;
        known("timers.task", &mut self.timers.rows().map(|row| row.task))?;
        known("executor.task", &mut self.executor.rows().map(|row| row.task))?;
        known("cancels.task", &mut self.cancels.rows().map(|row| row.task))?;
        known("cancels.by_task", &mut self.cancels.rows().map(|row| row.by_task))?;
        known("stalls.task", &mut self.stalls.rows().map(|row| row.task))?;
        known("marks.task", &mut self.marks.rows().map(|row| row.task))
    }
}

/// What the bytes say of themselves. Before the rest, because what another version does not have, or has otherwise, is no
/// breach of it.
fn head(json: &[u8]) -> Result<Head, Refusal> {
    if json.trim_ascii_start().starts_with(b"{") {
        return serde_json::from_slice(json).map_err(|error| refuse(json, &error));
    }
    // A number or a list is JSON too, but of somebody else.
    serde_json::from_slice::<IgnoredAny>(json).map_err(|error| refuse(json, &error))?;
    Ok(Head {
        format: None,
        version: None,
    })
}

fn refuse(json: &[u8], error: &serde_json::Error) -> Refusal {
    match error.classify() {
        _ if json.trim_ascii().is_empty() => Refusal::Empty,
        Category::Eof | Category::Io => Refusal::CutShort { bytes: json.len() },
        Category::Syntax if ends_in_a_minus(json, error) => Refusal::CutShort { bytes: json.len() },
        Category::Syntax => Refusal::NotJson {
            line: error.line(),
            column: error.column(),
        },
        Category::Data => Refusal::Broken(error.to_string()),
    }
}

/// The one place where the parser takes the end for a mistake: between the sign and the digits of a number.
fn ends_in_a_minus(json: &[u8], error: &serde_json::Error) -> bool {
    let last_line = json.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let lines = 1 + json.iter().filter(|byte| **byte == b'\n').count();
    json.ends_with(b"-") && (error.line(), error.column()) == (lines, last_line.len())
}

fn equal_columns<G: Columns>(group: &G) -> Result<(), String> {
    let columns = group.columns();
    let Some(&(first, rows)) = columns.first() else {
        return Ok(());
    };
    match columns.iter().find(|(_, len)| *len != rows) {
        Some((column, len)) => Err(format!(
            "{}.{column} has {len} rows, {}.{first} has {rows}",
            G::NAME,
            G::NAME
        )),
        None => Ok(()),
    }
}

fn in_range(column: &str, len: usize, mut indices: impl Iterator<Item = Index>) -> Result<(), String> {
    let outside =
        |index: &Index| *index != NONE && usize::try_from(*index).map_or(true, |index| index >= len);
    match indices.find(outside) {
        Some(index) => Err(format!("{column} holds {index}, which points nowhere")),
        None => Ok(()),
    }
}
