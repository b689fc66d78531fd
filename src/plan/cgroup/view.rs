//! What a `cgroup` mount shows inside the container. Pure.

use super::{Layout, Place};
use crate::error::Result;
use crate::plan::host::cgroup;
use crate::plan::mounts::{CgroupPart, CgroupView, PartSource, RootFlags};

/// The view from inside. `private`: the container makes a cgroup namespace, so a new instance of a hierarchy starts at
/// its own cgroup; without one, its directories on the host are bound.
///
/// On a hybrid machine the unified hierarchy is not shown, as with other runtimes: it has no limits to look at, and a
/// program that finds it may take the whole machine for v2.
pub fn view(place: &Place, private: bool) -> Result<CgroupView> {
    let hierarchies = match &place.layout {
        Layout::V2(spot) => {
            let flags = if private { RootFlags::Ignored } else { RootFlags::Repeated };
            return Ok(CgroupView::V2 { fallback: spot.full(), flags });
        }
        Layout::V1 { hierarchies, .. } => &hierarchies[..],
        Layout::Missing => &[], // an empty directory tells the truth
    };
    let part = |hierarchy: &super::HierarchySpot| CgroupPart {
        name: cgroup::name(&hierarchy.controllers),
        source: match private {
            true => PartSource::Instance(options(&hierarchy.controllers)),
            false => PartSource::Bind(hierarchy.spot.full()),
        },
    };
    let links = hierarchies.iter().flat_map(|hierarchy| {
        let to = cgroup::name(&hierarchy.controllers);
        cgroup::links(&hierarchy.controllers).into_iter().map(move |link| (link, to.clone()))
    });
    let base = vec![("mode".to_owned(), Some("755".to_owned()))];
    Ok(CgroupView::V1 { base, parts: hierarchies.iter().map(part).collect(), links: links.collect() })
}

/// The mount options that name a hierarchy of v1.
fn options(controllers: &[String]) -> Vec<(String, Option<String>)> {
    match controllers.first().and_then(|first| first.strip_prefix("name=")) {
        Some(name) => vec![("none".to_owned(), None), ("name".to_owned(), Some(name.to_owned()))],
        None => controllers.iter().map(|controller| (controller.clone(), None)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HierarchySpot, Owner, Spot};
    use super::*;

    fn hybrid() -> Place {
        let on = |names: &[&str]| HierarchySpot {
            controllers: names.iter().map(|n| (*n).to_owned()).collect(),
            spot: Spot { mount: format!("/c/{}", names.join(",")).into(), path: "x".into() },
        };
        let hierarchies = vec![on(&["cpu", "cpuacct"]), on(&["name=systemd"])];
        Place { owner: Owner::Us, layout: Layout::V1 { hierarchies, unified: None }, subgroup: None }
    }

    #[test]
    fn joint_hierarchies_get_their_links() {
        let CgroupView::V1 { parts, links, .. } = view(&hybrid(), false).unwrap() else { panic!() };
        assert_eq!(links.len(), 2);
        assert!(links.iter().all(|(link, to)| (link == "cpu" || link == "cpuacct") && to == "cpu,cpuacct"));
        assert_eq!(parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["cpu,cpuacct", "systemd"]);
        assert!(matches!(&parts[0].source, PartSource::Bind(path) if path.ends_with("cpu,cpuacct/x")));
    }

    #[test]
    fn a_namespace_gets_instances() {
        let CgroupView::V1 { parts, .. } = view(&hybrid(), true).unwrap() else { panic!() };
        let options = |part: &CgroupPart| match &part.source {
            PartSource::Instance(options) => options.clone(),
            PartSource::Bind(_) => panic!(),
        };
        assert_eq!(options(&parts[0]), [("cpu".into(), None), ("cpuacct".into(), None)]);
        assert_eq!(options(&parts[1]), [("none".into(), None), ("name".into(), Some("systemd".into()))]);
    }
}
