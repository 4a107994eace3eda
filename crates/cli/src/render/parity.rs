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
