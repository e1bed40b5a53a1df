//! The firewall: one nf_tables table of the engine's own, spoken to in atomic batches.

mod element;
mod expression;
mod table;

pub(crate) use element::{Element, of_endpoint, of_network};

use crate::netlink::{Batch, Refusal, Socket};
use element::OF_ENDPOINTS;
use netlink_bindings::nftables::{
    IterableSetelemAttrs, IterableSetelemListAttrs, Nfgenmsg, PushSetelemListAttrs, Request,
};
use rustix::io::Errno;

/// `NFNL_SUBSYS_NFTABLES` (linux/netfilter/nfnetlink.h): the subsystem that a batch is for.
const SUBSYSTEM: u16 = 10;
/// `ERESTART`: the generation given with a batch is not the firewall's any more.
const RESTART: Errno = Errno::from_raw_os_error(85);
/// How often a removal is tried anew when somebody changes the firewall in between.
const TRIES: usize = 64;

/// The engine's table in the calling thread's network namespace.
#[derive(Debug)]
pub(crate) struct Firewall<'a> {
    socket: &'a mut Socket,
    table: &'a str,
}

impl<'a> Firewall<'a> {
    /// The table of this name; it need not be there.
    pub(crate) fn new(socket: &'a mut Socket, table: &'a str) -> Self {
        Self { socket, table }
    }

    /// Makes the table with all its rules, empty, if it is not there.
    pub(crate) fn create_table(&mut self) -> Result<(), Refusal> {
        let mut changes = Batch::default();
        begin(&mut changes, None);
        table::create(&mut changes, self.table);
        end(&mut changes);
        match self.socket.commit(changes) {
            Err(refusal) if refusal.errno == Errno::EXIST => Ok(()),
            result => result,
        }
    }

    /// Removes the table if no network is in it.
    pub(crate) fn remove_table_if_unused(&mut self) -> Result<(), Refusal> {
        self.in_generation(|firewall, changes| {
            if firewall.list("bridges")?.is_empty() && firewall.has_table()? {
                let mut request = Request::new().op_deltable_do(&table::header());
                drop(request.encode().push_name_bytes(firewall.table.as_bytes()));
                changes.push(format!("remove the firewall table {}", firewall.table), &request);
            }
            Ok(())
        })
    }

    /// Adds elements, all or none. `EBUSY` if one is there and leads elsewhere; one that is
    /// there and leads where it should is no error.
    pub(crate) fn add(&mut self, elements: &[Element]) -> Result<(), Refusal> {
        let mut changes = Batch::default();
        begin(&mut changes, None);
        for element in elements {
            let mut request = Request::new().set_create().op_newsetelem_do(&table::header());
            self.encode(request.encode(), element.set, &element.key, element.value.as_deref());
            changes.push(format!("add {} to the firewall set {}", element.what, element.set), &request);
        }
        end(&mut changes);
        self.socket.commit(changes)
    }

    /// Removes exactly these elements; those that are not there, or lead elsewhere, are left.
    pub(crate) fn remove(&mut self, elements: &[Element]) -> Result<(), Refusal> {
        // The kernel compares only keys when it removes, hence the comparing here.
        self.in_generation(|firewall, changes| {
            for element in elements {
                if firewall.find(element)?.as_ref() == Some(element) {
                    let mut request = Request::new().op_delsetelem_do(&table::header());
                    firewall.encode(request.encode(), element.set, &element.key, None);
                    let step = format!("remove {} from the firewall set {}", element.what, element.set);
                    changes.push(step, &request);
                }
            }
            Ok(())
        })
    }

    /// Looks and then changes, as if at one moment: the kernel refuses the changes (`ERESTART`) if the firewall has
    /// changed since `look` began, and then it looks again.
    fn in_generation(
        &mut self,
        mut look: impl FnMut(&mut Self, &mut Batch) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        for _ in 0..TRIES {
            let generation = self.generation()?;
            let mut changes = Batch::default();
            begin(&mut changes, Some(generation));
            look(self, &mut changes)?;
            if changes.is_empty() {
                return Ok(());
            }
            end(&mut changes);
            match self.socket.commit(changes) {
                Err(refusal) if refusal.errno == RESTART => {}
                result => return result,
            }
        }
        Err(Refusal::new("change the firewall, which others keep changing", Errno::AGAIN))
    }

    /// The endpoints' elements that are there.
    pub(crate) fn published(&mut self) -> Result<Vec<Element>, Refusal> {
        let mut found = Vec::new();
        for set in OF_ENDPOINTS {
            found.extend(self.list(set)?);
        }
        Ok(found)
    }

    /// A set's elements; none where there is no table.
    fn list(&mut self, set: &'static str) -> Result<Vec<Element>, Refusal> {
        let mut request = Request::new().op_getsetelem_dump(&table::header());
        drop(request.encode().push_table_bytes(self.table.as_bytes()).push_set_bytes(set.as_bytes()));
        let step = format!("list the firewall set {set}");
        match self.socket.ask(&step, &request, |(_, reply)| Some(decode(set, &reply))) {
            Ok(found) => Ok(found.into_iter().flatten().collect()),
            Err(refusal) if refusal.errno == Errno::NOENT => Ok(Vec::new()),
            Err(refusal) => Err(refusal),
        }
    }

    /// The element with the same key, if there is one.
    pub(crate) fn find(&mut self, element: &Element) -> Result<Option<Element>, Refusal> {
        let mut request = Request::new().op_getsetelem_do(&table::header());
        self.encode(request.encode(), element.set, &element.key, None);
        let step = format!("look up {} in the firewall set {}", element.what, element.set);
        match self.socket.ask(&step, &request, |(_, reply)| decode(element.set, &reply).pop()) {
            Ok(found) => Ok(found.into_iter().next()),
            Err(refusal) if refusal.errno == Errno::NOENT => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    fn has_table(&mut self) -> Result<bool, Refusal> {
        let mut request = Request::new().op_gettable_do(&table::header());
        drop(request.encode().push_name_bytes(self.table.as_bytes()));
        match self.socket.ask(&format!("look up the firewall table {}", self.table), &request, |_| Some(())) {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.errno == Errno::NOENT => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// The number of the firewall's present state, which changes with every change of any table.
    fn generation(&mut self) -> Result<u32, Refusal> {
        let request = Request::new().op_getgen_do(&table::header());
        let step = "read the firewall's generation";
        let found = self.socket.ask(step, &request, |(_, reply)| reply.get_id().ok())?;
        found.into_iter().next().ok_or_else(|| Refusal::new(step, Errno::PROTO))
    }

    fn encode(&self, list: PushSetelemListAttrs<&mut Vec<u8>>, set: &str, key: &[u8], value: Option<&[u8]>) {
        let list = list.push_table_bytes(self.table.as_bytes()).push_set_bytes(set.as_bytes());
        let element = list.nested_elements().nested_elem().nested_key().push_value(key).end_nested();
        drop(match value {
            Some(value) => element.nested_data().push_value(value).end_nested(),
            None => element,
        });
    }
}

fn decode(set: &'static str, reply: &IterableSetelemListAttrs<'_>) -> Vec<Element> {
    let Ok(elements) = reply.get_elements() else { return Vec::new() };
    let one = |element: IterableSetelemAttrs<'_>| {
        let key = element.get_key().ok()?.get_value().ok()?.to_vec();
        let value = element.get_data().ok().and_then(|data| data.get_value().ok()).map(<[u8]>::to_vec);
        Some(Element::found(set, key, value))
    };
    elements.get_elem().filter_map(one).collect()
}

/// Begins a batch: what follows is done wholly or not at all, and only if `generation` is still the firewall's.
fn begin(batch: &mut Batch, generation: Option<u32>) {
    let mut request = Request::new().op_batch_begin_do(&mark());
    if let Some(generation) = generation {
        drop(request.encode().push_genid(generation));
    }
    batch.push_mark("change the firewall", &request);
}

fn end(batch: &mut Batch) {
    batch.push_mark("change the firewall", &Request::new().op_batch_end_do(&mark()));
}

fn mark() -> Nfgenmsg {
    let mut header = Nfgenmsg::default();
    header.set_res_id(SUBSYSTEM);
    header
}
