use maypole_trace::{Ended, Event, Kind, Record, SiteId, TextId, WaitKind, Waker};

#[test]
fn an_event_takes_forty_bytes() {
    assert_eq!(size_of::<Event>(), 40);
}

#[test]
fn every_kind_is_read_as_it_was_told() {
    let (text, source, site) = (TextId(u32::MAX - 1), TextId::numbered(9), SiteId(77));
    let told = [
        (
            Event::created(u64::MAX, 5, 4, site, text, SiteId::NONE),
            Record::Created {
                at: u64::MAX,
                task: 5,
                parent: 4,
                function: site,
                name: text,
                made_at: SiteId::NONE,
            },
        ),
        (
            Event::step(5, site.short(), 1, 2, 3, Waker::Task, 4),
            Record::Step {
                task: 5,
                function: site,
                ready: 1,
                begin: 2,
                end: 3,
                waker: Waker::Task,
                waker_task: 4,
            },
        ),
        (
            Event::wait(3, 5, WaitKind::Task, site, u32::MAX),
            Record::Wait {
                at: 3,
                task: 5,
                kind: WaitKind::Task,
                site,
                on_task: u32::MAX,
                operation: TextId::NONE,
            },
        ),
        (
            Event::wait(3, 5, WaitKind::Queue, site, 0).calling(text),
            Record::Wait {
                at: 3,
                task: 5,
                kind: WaitKind::Queue,
                site,
                on_task: 0,
                operation: text,
            },
        ),
        (
            Event::ended(3, 5, Ended::Raised, text),
            Record::Ended {
                at: 3,
                task: 5,
                how: Ended::Raised,
                error: text,
            },
        ),
        (
            Event::cancel(3, 5, 4),
            Record::Cancel {
                at: 3,
                task: 5,
                by: 4,
            },
        ),
        (
            Event::callback(1, 2, 3, text, Waker::Thread, 4),
            Record::Callback {
                ready: 1,
                begin: 2,
                end: 3,
                name: text,
                waker: Waker::Thread,
                waker_task: 4,
            },
        ),
        (
            Event::turn(2, 3, 9),
            Record::Turn {
                begin: 2,
                end: 3,
                ready: 9,
            },
        ),
        (
            Event::poll(2, 3, 9, true),
            Record::Poll {
                begin: 2,
                end: 3,
                events: 9,
                blocking: true,
            },
        ),
        (
            Event::timer_set(1, 3, 5),
            Record::Timer {
                at: 1,
                due: 3,
                fired: false,
                task: 5,
            },
        ),
        (
            Event::timer_fired(4, 3, 5),
            Record::Timer {
                at: 4,
                due: 3,
                fired: true,
                task: 5,
            },
        ),
        (
            Event::io(3, -1, true, false),
            Record::Io {
                at: 3,
                fd: -1,
                readable: true,
                writable: false,
            },
        ),
        (
            Event::io(3, 8, false, true),
            Record::Io {
                at: 3,
                fd: 8,
                readable: false,
                writable: true,
            },
        ),
        (
            Event::executor(5, 1, 2, 3, text),
            Record::Executor {
                task: 5,
                submitted: 1,
                begin: 2,
                end: 3,
                name: text,
            },
        ),
        (
            Event::gc(2, 3, 1),
            Record::Gc {
                begin: 2,
                end: 3,
                generation: 1,
            },
        ),
        (
            Event::stall(2, 3, 5, text, 6),
            Record::Stall {
                begin: 2,
                end: 3,
                task: 5,
                kind: text,
                stack: 6,
            },
        ),
        (
            Event::mark(3, 5, text, source),
            Record::Mark {
                at: 3,
                task: 5,
                text,
                source,
            },
        ),
    ];
    for (event, record) in told {
        assert_eq!(event.read(), Some(record));
    }
    let kinds: std::collections::HashSet<_> = told.iter().map(|(event, _)| event.kind).collect();
    assert_eq!(kinds.len(), Kind::ALL.len());
}

#[test]
fn an_event_is_over_at_its_ticks() {
    for event in [
        Event::step(1, 0, 1, 2, 9, Waker::Start, 0),
        Event::callback(1, 2, 9, TextId::NONE, Waker::Io, 0),
        Event::executor(1, 1, 2, 9, TextId::NONE),
        Event::poll(1, 9, 0, false),
        Event::timer_fired(9, 3, 0),
    ] {
        assert_eq!(event.at_ticks, 9);
    }
}

#[test]
fn a_word_out_of_its_set_is_read_as_nothing() {
    let event = Event {
        detail: 99,
        ..Event::wait(3, 5, WaitKind::Task, SiteId(1), 0)
    };
    assert_eq!(event.read(), None);
}

#[test]
fn words_keep_their_numbers_and_names() {
    for (number, &kind) in WaitKind::ALL.iter().enumerate() {
        assert_eq!(kind as usize, number);
        assert_eq!(WaitKind::from_u8(kind as u8), Some(kind));
        assert_eq!(WaitKind::from_name(kind.name()), Some(kind));
    }
    assert_eq!(Waker::from_u8(Waker::ALL.len() as u8), None);
    assert_eq!(Ended::Cancelled.name(), "cancelled");
}
