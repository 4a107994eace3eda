//! What the swarm has. Objects are kept as the bytes that engines tell, lists as well, until something in them changes.

use super::world::{World, id};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// What can be asked for in lists.
pub const KINDS: [&str; 5] = ["nodes", "services", "tasks", "configs", "secrets"];

/// One object.
#[derive(Debug)]
struct Object {
    id: String,
    /// Its name; a node's is that of its host.
    name: String,
    /// What a task belongs to; empty for others.
    service: String,
    node: String,
    desired: String,
    /// As it is; of a task nothing, since nobody changes one.
    value: Value,
    bytes: Vec<u8>,
}

impl Object {
    fn of(value: Value, keep: bool) -> Self {
        let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = ["/Spec/Name", "/Description/Hostname"].map(text).concat();
        let bytes = value.to_string().into_bytes();
        let (id, service, node) = (text("/ID"), text("/ServiceID"), text("/NodeID"));
        let desired = text("/DesiredState");
        Self { id, name, service, node, desired, value: if keep { value } else { Value::Null }, bytes }
    }

    fn fits(&self, filter: &str, wanted: &str) -> bool {
        match filter {
            "id" => self.id.starts_with(wanted),
            "name" => self.name.starts_with(wanted),
            "service" => self.service == wanted,
            "node" => self.node == wanted,
            "desired-state" => self.desired == wanted,
            "role" => self.value["Spec"]["Role"] == wanted,
            "label" => {
                let (name, value) = wanted.split_once('=').unwrap_or((wanted, ""));
                let label = self.value["Spec"]["Labels"][name].as_str();
                label.is_some_and(|label| value.is_empty() || label == value)
            }
            _ => true,
        }
    }
}

/// The swarm's store.
#[derive(Debug)]
pub struct Store {
    objects: BTreeMap<&'static str, Vec<Object>>,
    /// Lists that were asked for since something in them changed, by kind and filters.
    lists: BTreeMap<(String, String), Arc<Vec<u8>>>,
    version: u64,
    /// Those who follow the events.
    pub followers: Vec<UnixStream>,
    /// How often each node was written through the API.
    pub written: BTreeMap<String, u32>,
}

impl Store {
    pub fn new(world: World) -> Self {
        let World { nodes, services, tasks } = world;
        let kept = |values: Vec<Value>| values.into_iter().map(|value| Object::of(value, true)).collect();
        let tasks = tasks.into_iter().map(|task| Object::of(task, false)).collect();
        let objects = [("nodes", kept(nodes)), ("services", kept(services)), ("tasks", tasks)];
        let objects = objects.into_iter().chain([("configs", Vec::new()), ("secrets", Vec::new())]).collect();
        let (lists, followers, written) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        Self { objects, lists, version: 1_000_000, followers, written }
    }

    fn kind(&mut self, kind: &str) -> &mut Vec<Object> {
        let kind = KINDS.into_iter().find(|known| *known == kind).unwrap_or("secrets");
        self.lists.retain(|(listed, _), _| listed != kind);
        self.objects.entry(kind).or_default()
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: &str) -> usize {
        self.objects.get(kind).map_or(0, Vec::len)
    }

    /// The objects that fit all filters: of each filter one of its values.
    pub fn list(&mut self, kind: &str, filters: &str) -> Arc<Vec<u8>> {
        let key = (kind.to_owned(), filters.to_owned());
        if let Some(list) = self.lists.get(&key) {
            return Arc::clone(list);
        }
        let wanted: Map<String, Value> = serde_json::from_str(filters).unwrap_or_default();
        let any = |object: &Object, name: &str, values: &Value| {
            let mut values = values.as_array().into_iter().flatten().filter_map(Value::as_str);
            values.any(|value| object.fits(name, value))
        };
        let fits = |object: &&Object| wanted.iter().all(|(name, values)| any(object, name, values));
        let objects = self.objects.get(kind).into_iter().flatten().filter(fits);
        let mut list = vec![b'['];
        for object in objects {
            if list.len() > 1 {
                list.push(b',');
            }
            list.extend_from_slice(&object.bytes);
        }
        list.extend_from_slice(b"]\n");
        let list = Arc::new(list);
        self.lists.insert(key, Arc::clone(&list));
        list
    }

    /// One object, by its id or name.
    pub fn find(&self, kind: &str, name: &str) -> Option<Vec<u8>> {
        let mut all = self.objects.get(kind)?.iter();
        all.find(|one| one.id == name || one.name == name).map(|one| one.bytes.clone())
    }

    /// Creates an object; `None` when there is one of this name.
    pub fn create(&mut self, kind: &str, spec: &Value) -> Option<String> {
        let name = spec["Name"].as_str().unwrap_or_default();
        if self.objects.get(kind)?.iter().any(|one| one.name == name) {
            return None;
        }
        self.version += 1;
        let (version, id) = (self.version, id('x', self.version as usize));
        let time = "2026-11-27T09:00:00.000000000Z";
        let mut object = json!({
            "ID": id, "Version": { "Index": version }, "CreatedAt": time, "UpdatedAt": time, "Spec": spec,
        });
        if kind == "services" {
            object["ServiceStatus"] = json!({ "RunningTasks": 0, "DesiredTasks": 1, "CompletedTasks": 0 });
            self.kind("tasks").push(Object::of(on_its_way(version, &id, spec), false));
        }
        self.kind(kind).push(Object::of(object, true));
        self.tell(kind, "create", &id, name);
        Some(id)
    }

    /// Writes an object's spec, if it has this version; `None` when it has not, or is not there.
    pub fn update(&mut self, kind: &str, name: &str, version: u64, spec: Value) -> Option<()> {
        let mut all = self.objects.get(kind)?.iter();
        let found = all.position(|one| one.id == name || one.name == name)?;
        if self.objects[kind][found].value["Version"]["Index"] != version {
            return None;
        }
        self.put(kind, found, spec);
        *self.written.entry(name.to_owned()).or_default() += 1;
        Some(())
    }

    /// What an operator writes on a node.
    pub fn label_node(&mut self, node: &str, name: &str, value: &str) {
        let found = self.objects["nodes"].iter().position(|one| one.id == node);
        if let Some(found) = found {
            let mut spec = self.objects["nodes"][found].value["Spec"].clone();
            spec["Labels"][name] = value.into();
            self.put("nodes", found, spec);
        }
    }

    fn put(&mut self, kind: &str, found: usize, spec: Value) {
        self.version += 1;
        let version = self.version;
        let mut value = self.objects[kind][found].value.clone();
        value["Spec"] = spec;
        value["Version"]["Index"] = version.into();
        let object = Object::of(value, true);
        let (id, name) = (object.id.clone(), object.name.clone());
        self.kind(kind)[found] = object;
        self.tell(kind, "update", &id, &name);
    }

    /// Removes an object; `None` when it is not there.
    pub fn remove(&mut self, kind: &str, name: &str) -> Option<()> {
        let mut all = self.objects.get(kind)?.iter();
        let found = all.position(|one| one.id == name || one.name == name)?;
        let gone = self.kind(kind).remove(found);
        if kind == "services" {
            self.kind("tasks").retain(|task| task.service != gone.id);
        }
        self.tell(kind, "remove", &gone.id, &gone.name);
        Some(())
    }

    /// An event for those who follow. Who has left is forgotten.
    fn tell(&mut self, kind: &str, action: &str, id: &str, name: &str) {
        let kind = kind.trim_end_matches('s');
        let event = json!({
            "Type": kind, "Action": action, "Actor": { "ID": id, "Attributes": { "name": name } }, "scope": "swarm",
            "time": 1_795_770_000, "timeNano": 1_795_770_000_000_000_000_u64,
        });
        let line = format!("{event}\n");
        self.followers.retain_mut(|follower| super::http::write_chunk(follower, line.as_bytes()).is_ok());
    }
}

/// The task of one of careen's services, whose image is being pulled.
fn on_its_way(version: u64, service: &str, spec: &Value) -> Value {
    let constraints = spec["TaskTemplate"]["Placement"]["Constraints"].as_array();
    let constraints = constraints.into_iter().flatten().filter_map(Value::as_str);
    let node = constraints.filter_map(|one| one.strip_prefix("node.id==")).next().unwrap_or_default();
    json!({
        "ID": id('y', version as usize), "Version": { "Index": version }, "CreatedAt": "2026-11-27T09:00:00Z",
        "Spec": spec["TaskTemplate"], "ServiceID": service, "NodeID": node.trim(), "JobIteration": { "Index": 0 },
        "Status": { "State": "preparing", "Message": "preparing" }, "DesiredState": "complete",
    })
}
