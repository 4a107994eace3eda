//! Nodes that ended with other versions than the first one that was done. Pure.

use crate::parity::{Difference, Differing, Parity};
use crate::render::text::{Look, Page, Span, first_of, short};

/// So many of each are shown: groups of nodes, names in a line, versions of a group. JSON has all.
const GROUPS: usize = 6;
const NAMES: usize = 6;
const VERSIONS: usize = 10;

/// So many columns a name or a version may take.
const WIDE: usize = 60;

/// What is told below a rollout's results; nothing where nobody differs.
pub fn page(parity: Option<&Parity>, page: &mut Page) {
    let Some(parity) = parity.filter(|parity| !parity.others.is_empty()) else { return };
    page.gap();
    let first = short(&parity.hostname, WIDE);
    parity.others.iter().take(GROUPS).for_each(|one| group(one, &first, page));
    let more: usize = parity.others.iter().skip(GROUPS).map(|one| one.nodes.len()).sum();
    if more > 0 {
        page.line(format!("and {more} more nodes differ from {first}: --format json lists them"));
    }
}

fn group(one: &Differing, first: &str, page: &mut Page) {
    let nodes: Vec<String> = one.nodes.iter().map(|node| short(&node.hostname, WIDE)).collect();
    let nodes = first_of(&nodes, NAMES);
    let names: Vec<String> = one.unchanged.iter().map(|name| short(name, WIDE)).collect();
    let unchanged = first_of(&names, NAMES);
    let what = if one.versions.is_empty() {
        format!("did not change what changed on {first}, the first node that was done: {unchanged}")
    } else {
        format!("ended with other versions than {first}, the first node that was done:")
    };
    page.spans(&[Span::new(Look::Warn, nodes), format!(" {what}").into()]);
    for version in one.versions.iter().take(VERSIONS) {
        page.line(format!("    {}", difference(version, first)));
    }
    if one.versions.len() > VERSIONS {
        page.line(format!("    and {} more", one.versions.len() - VERSIONS));
    }
    if !one.versions.is_empty() && !names.is_empty() {
        page.line(format!("    not changed, as on {first}: {unchanged}"));
    }
}

fn difference(one: &Difference, first: &str) -> String {
    let said = |version: &Option<String>| version.as_ref().map_or("removed".into(), |text| short(text, WIDE));
    format!("{} {} ({first}: {})", short(&one.of, WIDE), said(&one.version), said(&one.first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parity::Named;
    use crate::render::Screen;
    use crate::render::events::{Ended, Tails};
    use crate::testing::failed_and_paused;
    use crate::view::look;
    use careen_planner::rollout::RolloutOutcome;
    use careen_planner::{NodeId, Watch};
    use std::time::Duration;

    fn text(parity: &Parity) -> String {
        let mut text = Page::new(false);
        page(Some(parity), &mut text);
        text.into_text()
    }

    fn differing(groups: usize, nodes: usize, packages: usize) -> Parity {
        let version = |number: usize, of: usize| Difference {
            of: format!("p{of:02}"),
            is_package: true,
            version: Some(number.to_string()),
            first: None,
        };
        let named = |name: String| Named { node: NodeId(name.clone()), hostname: name };
        let group = |number: usize| Differing {
            nodes: (0..nodes).map(|node| named(format!("w{number}-{node}\u{1b}"))).collect(),
            versions: (0..packages).map(|of| version(number, of)).collect(),
            unchanged: (0..packages).map(|of| format!("u{of:02}")).collect(),
        };
        Parity { first: NodeId("w1".into()), hostname: "w1".into(), others: (0..groups).map(group).collect() }
    }

    #[test]
    fn many_are_folded_and_nothing_reaches_the_terminal_as_it_is() {
        let text = text(&differing(8, 8, 12));
        assert!(text.contains("w0-5\\u{1b} and 2 more ended with other versions than w1"), "{text}");
        assert!(text.contains("    p09 0 (w1: removed)\n    and 2 more\n"), "{text}");
        assert!(text.contains("not changed, as on w1: u00, u01, u02, u03, u04, u05 and 6 more\n"), "{text}");
        assert!(text.ends_with("and 16 more nodes differ from w1: --format json lists them\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert_eq!(super::tests::text(&differing(0, 0, 0)), "");
    }

    #[test]
    fn it_is_told_at_the_end_of_a_rollout_that_is_followed() {
        let (observed, spec) = failed_and_paused();
        let (standing, _) = look(&observed, &spec, &Watch::default(), Duration::ZERO).unwrap();
        let parity = differing(1, 1, 1);
        let (standing, outcome, tails) = (&standing, Some(RolloutOutcome::Done), &Tails::new());
        let ended = Ended { standing, outcome, tails, nodes: &[], parity: Some(&parity) };
        let mut page = Page::new(false);
        ended.text(&mut page);
        assert!(page.into_text().contains("ended with other versions than w1"));
        let json: serde_json::Value = serde_json::from_str(&ended.json().unwrap()).unwrap();
        assert_eq!(json["parity"]["others"][0]["versions"][0]["of"], "p00");
    }
}
