find("app").classList.toggle("single", data.examples.length === 1);
find("app").classList.toggle("compared", data.table !== null);
listExamples();
if (data.table) drawTable();
if (data.table) chooseRow(0);
else choose(0);
root.dataset.ready = "yes";
