//! How answers name places and tasks: in words, so that they can be read without the document.

use std::collections::HashMap;

use serde::Serialize;

use crate::document::group::Task;
use crate::document::{Document, Index};

/// The longest chain of parents told.
const ANCESTORS: usize = 32;

/// A place in the code.
///
/// ```
/// use maypole_trace::diagnoses::Place;
///
/// let place = Place { file: "app.py".into(), line: 3, function: "main".into() };
/// assert_eq!(serde_json::to_string(&place)?, r#"{"file":"app.py","line":3,"function":"main"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 when it is not known.
    pub line: u32,
    /// The qualified name of the function.
    pub function: String,
}

/// A task, as people speak of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Named {
    /// Its id in the document.
    pub id: u32,
    /// Its name; empty when its creation is not in the recording.
    pub name: String,
}

/// The document's tasks by id.
pub(super) struct People<'a> {
    document: &'a Document,
    tasks: HashMap<u32, Task>,
}

impl<'a> People<'a> {
    pub(super) fn of(document: &'a Document) -> Self {
        Self {
            document,
            tasks: document.tasks.rows().map(|task| (task.id, task)).collect(),
        }
    }

    pub(super) fn place(&self, site: Index) -> Option<Place> {
        let site = self.document.site(site)?;
        let text = |index| self.document.string(index).to_owned();
        Some(Place {
            file: text(site.file),
            line: site.line,
            function: text(site.function),
        })
    }

    pub(super) fn task(&self, id: u32) -> Option<Task> {
        self.tasks.get(&id).copied()
    }

    pub(super) fn named(&self, id: u32) -> Option<Named> {
        self.task(id).map(|task| Named {
            id,
            name: self.document.string(task.name).to_owned(),
        })
    }

    /// Who made it, and who made that one, up to the first.
    pub(super) fn ancestry(&self, id: u32) -> Vec<Named> {
        let parent = |task: &Task| self.task(task.parent);
        std::iter::successors(self.task(id), parent)
            .skip(1)
            .take(ANCESTORS)
            .filter_map(|task| self.named(task.id))
            .collect()
    }
}
