use maypole_trace::{SiteId, Sites, Stacks, TextId, Texts};

#[test]
fn a_text_keeps_its_id() {
    let mut texts = Texts::new(10);
    let (one, two) = (texts.intern("one"), texts.intern("two"));
    assert_ne!(one, two);
    assert_eq!(texts.intern("one"), one);
    assert_eq!(texts.text(two).as_deref(), Some("two"));
    assert_eq!(texts.text(TextId::NONE), None);
    assert_eq!(texts.text(TextId(99)), None);
}

#[test]
fn texts_without_room_share_one_and_are_counted() {
    let mut texts = Texts::new(2);
    for text in ["a", "b", "c", "d", "a", "c"] {
        texts.intern(text);
    }
    assert_eq!((texts.len(), texts.left_out()), (3, 3));
    let left_out = texts.intern("e");
    assert_eq!(texts.text(left_out).as_deref(), Some("…"));
}

#[test]
fn names_that_asyncio_makes_take_no_room() {
    let mut texts = Texts::new(0);
    for name in ["Task-0", "Task-1", "Task-2147483646"] {
        let id = texts.intern(name);
        assert_eq!(texts.text(id).as_deref(), Some(name));
    }
    assert_eq!(texts.left_out(), 0);
}

#[test]
fn names_that_only_look_like_asyncios_are_texts() {
    let mut texts = Texts::new(10);
    for name in [
        "Task-",
        "Task-01",
        "Task-+1",
        "Task-1x",
        "Task-2147483647",
        "Task-99999999999",
    ] {
        let id = texts.intern(name);
        assert_eq!(texts.text(id).as_deref(), Some(name));
    }
    assert_eq!(texts.len(), 6);
}

#[test]
fn a_place_is_its_file_line_and_function() {
    let mut sites = Sites::new(10);
    let ids = [
        ("a.py", 1, "f"),
        ("a.py", 2, "f"),
        ("b.py", 1, "f"),
        ("a.py", 1, "g"),
    ]
    .map(|(file, line, function)| sites.intern(file, line, function));
    assert_eq!(ids, [SiteId(0), SiteId(1), SiteId(2), SiteId(3)]);
    assert_eq!(sites.intern("b.py", 1, "f"), SiteId(2));
    assert_eq!(sites.site(SiteId(3)), Some(("a.py".into(), 1, "g".into())));
    assert_eq!(sites.site(SiteId::NONE), None);
}

#[test]
fn places_without_room_share_one_and_are_counted() {
    let mut sites = Sites::new(1);
    let kept = sites.intern("a.py", 1, "f");
    let left_out = sites.intern("b.py", 2, "g");
    assert_eq!(sites.intern("c.py", 3, "h"), left_out);
    assert_eq!(sites.intern("a.py", 1, "f"), kept);
    assert_eq!(sites.site(left_out), Some(("…".into(), 0, "…".into())));
    assert_eq!((sites.len(), sites.left_out()), (2, 2));
}

#[test]
fn a_stack_that_is_not_there_is_empty() {
    assert!(Stacks::new(1).stack(Stacks::NONE).is_empty());
}
