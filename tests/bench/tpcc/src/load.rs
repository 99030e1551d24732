//! The initial database, clause 4.3.3.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Write;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use futures_util::SinkExt;
use tokio_postgres::Client;

use crate::random::{NAMES, Random, last_name};
use crate::{Failed, Options, connect, schema};

/// Rows of one COPY: a transaction each, which a cluster does not take of any size.
const COPY_ROWS: usize = 2_000;
/// Loaded by so many connections at once.
const LOADERS: usize = 4;
const SINCE: &str = "2026-01-01 00:00:00";
pub const DISTRICTS: i32 = 10;

/// A part of the database that one connection loads.
#[derive(Clone, Copy)]
enum Part {
    Items(i32, i32),
    Warehouse(i32),
    Stock(i32, i32, i32),
    District(i32, i32),
}

/// Rows on their way into one table.
struct Rows<'a> {
    client: &'a Client,
    table: &'static str,
    text: String,
    count: usize,
    all: u64,
}

impl<'a> Rows<'a> {
    fn of(client: &'a Client, table: &'static str) -> Rows<'a> {
        Rows { client, table, text: String::new(), count: 0, all: 0 }
    }

    async fn end_row(&mut self) -> Result<(), Failed> {
        self.text.push('\n');
        self.count += 1;
        if self.count >= COPY_ROWS { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Failed> {
        if self.count > 0 {
            let text = std::mem::take(&mut self.text);
            let copy = format!("copy {} from stdin with (format csv)", self.table);
            let mut sink = pin!(self.client.copy_in::<_, std::io::Cursor<String>>(&copy).await?);
            sink.send(std::io::Cursor::new(text)).await?;
            let copied = sink.finish().await?;
            if copied != self.count as u64 {
                return Err(format!("{copied} rows of {} were copied", self.count).into());
            }
            self.all += copied;
            self.count = 0;
        }
        Ok(())
    }
}

/// Adds a row of fields.
macro_rules! row {
    ($rows:expr, $($field:expr),+ $(,)?) => {{
        let mut first = true;
        $(
            if !std::mem::take(&mut first) { $rows.text.push(','); }
            write!($rows.text, "{}", $field)?;
        )+
        let _ = first;
        $rows.end_row().await?;
    }};
}

fn address(random: &mut Random) -> String {
    let (one, two, city) = (random.text(10, 20), random.text(10, 20), random.text(10, 20));
    format!("{one},{two},{city},{},{}", random.text(2, 2), random.zip())
}

async fn items(client: &Client, from: i32, to: i32, random: &mut Random) -> Result<u64, Failed> {
    let mut rows = Rows::of(client, "item");
    for id in from..=to {
        let price = f64::from(random.within(100, 10_000)) / 100.0;
        let (image, name) = (random.within(1, 10_000), random.text(14, 24));
        row!(rows, id, image, name, price, random.data());
    }
    rows.flush().await?;
    Ok(rows.all)
}

async fn warehouse(client: &Client, w: i32, random: &mut Random) -> Result<u64, Failed> {
    let mut rows = Rows::of(client, "warehouse");
    let tax = f64::from(random.within(0, 2_000)) / 10_000.0;
    // As much as its customers have paid: 300000 in a database of full size.
    row!(rows, w, random.text(6, 10), address(random), tax, "300000.00");
    rows.flush().await?;
    Ok(rows.all)
}

async fn stock(
    client: &Client,
    w: i32,
    from: i32,
    to: i32,
    random: &mut Random,
) -> Result<u64, Failed> {
    let mut rows = Rows::of(client, "stock");
    for item in from..=to {
        let infos: Vec<String> = (0..DISTRICTS).map(|_| random.text(24, 24)).collect();
        let quantity = random.within(10, 100);
        row!(rows, w, item, quantity, infos.join(","), 0, 0, 0, random.data());
    }
    rows.flush().await?;
    Ok(rows.all)
}

async fn district(
    client: &Client,
    options: &Options,
    w: i32,
    d: i32,
    random: &mut Random,
) -> Result<u64, Failed> {
    let n = options.customers;
    let mut rows = Rows::of(client, "district");
    let tax = f64::from(random.within(0, 2_000)) / 10_000.0;
    row!(rows, w, d, random.text(6, 10), address(random), tax, "30000.00", n + 1);
    rows.flush().await?;
    let mut all = rows.all;
    let mut customers = Rows::of(client, "customer");
    let mut history = Rows::of(client, "history");
    for c in 1..=n {
        let last = if c <= NAMES { last_name(c - 1) } else { random.name_to_load() };
        let credit = if random.percent(10) { "BC" } else { "GC" };
        let discount = f64::from(random.within(0, 5_000)) / 10_000.0;
        let (first, phone) = (random.text(8, 16), random.digits(16));
        let data = random.text(300, 500);
        let paid = paid(options);
        row!(
            customers,
            w,
            d,
            c,
            first,
            "OE",
            last,
            address(random),
            phone,
            SINCE,
            credit,
            "50000.00",
            discount,
            format!("-{paid}"),
            paid,
            1,
            0,
            data
        );
        row!(history, c, d, w, d, w, SINCE, paid, random.text(12, 24));
    }
    customers.flush().await?;
    history.flush().await?;
    all += customers.all + history.all;
    orders(client, options, w, d, random).await.map(|n| all + n)
}

/// What each customer has paid: district and warehouse have the sums.
fn paid(options: &Options) -> String {
    format!("{:.2}", 30_000.0 / f64::from(options.customers))
}

async fn orders(
    client: &Client,
    options: &Options,
    w: i32,
    d: i32,
    random: &mut Random,
) -> Result<u64, Failed> {
    let n = options.customers;
    let delivered = n - n * 3 / 10;
    let mut orders = Rows::of(client, "orders");
    let mut lines = Rows::of(client, "order_line");
    let mut new = Rows::of(client, "new_order");
    for (at, customer) in random.permutation(n).into_iter().enumerate() {
        let (o, count) = (at as i32 + 1, random.within(5, 15));
        let done = o <= delivered;
        let carrier = if done { random.within(1, 10).to_string() } else { String::new() };
        row!(orders, w, d, o, customer, SINCE, carrier, count, 1);
        for number in 1..=count {
            let item = random.within(1, options.items);
            let at = if done { SINCE } else { "" };
            let cents = if done { 0 } else { random.within(1, 999_999) };
            let amount = format!("{}.{:02}", cents / 100, cents % 100);
            row!(lines, w, d, o, number, item, w, at, 5, amount, random.text(24, 24));
        }
        if !done {
            row!(new, w, d, o);
        }
    }
    orders.flush().await?;
    lines.flush().await?;
    new.flush().await?;
    Ok(orders.all + lines.all + new.all)
}

async fn work(options: &Options, left: &RefCell<VecDeque<(u64, Part)>>) -> Result<u64, Failed> {
    let client = connect(options).await?;
    let mut all = 0;
    loop {
        let next = left.borrow_mut().pop_front();
        let Some((number, part)) = next else { return Ok(all) };
        let random = &mut Random::new(options.seed * 1_000_003 + number);
        all += match part {
            Part::Items(from, to) => items(&client, from, to, random).await?,
            Part::Warehouse(w) => warehouse(&client, w, random).await?,
            Part::Stock(w, from, to) => stock(&client, w, from, to, random).await?,
            Part::District(w, d) => district(&client, options, w, d, random).await?,
        };
    }
}

/// Makes and fills the tables.
pub async fn load(options: &Options) -> Result<String, Failed> {
    if 3_000_000 % options.customers != 0 {
        return Err("3000000 cents are not to be shared by so many customers".into());
    }
    let began = Instant::now();
    schema::create(options).await?;
    let mut parts = Vec::new();
    let step = (options.items / 10).max(1) as usize;
    let slices = || (1..=options.items).step_by(step).map(|n| (n, (n + step as i32 - 1)));
    let cut = |(from, to): (i32, i32)| (from, to.min(options.items));
    parts.extend(slices().map(cut).map(|(from, to)| Part::Items(from, to)));
    for w in 1..=options.warehouses {
        parts.push(Part::Warehouse(w));
        parts.extend(slices().map(cut).map(|(from, to)| Part::Stock(w, from, to)));
        parts.extend((1..=DISTRICTS).map(|d| Part::District(w, d)));
    }
    let left = Rc::new(RefCell::new((0..).zip(parts).collect()));
    let loaders = (0..LOADERS).map(|_| {
        let (options, left) = (options.clone(), left.clone());
        tokio::task::spawn_local(async move { work(&options, &left).await })
    });
    let mut rows = 0;
    for loader in loaders.collect::<Vec<_>>() {
        rows += loader.await??;
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(format!("{{\"rows\": {rows}, \"seconds\": {seconds:.1}}}"))
}
